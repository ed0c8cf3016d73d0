public import JSON

/// Host ports that a pod asked for and was given with its node.
public enum AssignedPorts {
    /// Member of a published port in a pod's annotations: its number is that of the assigned port at this place.
    public static let place = "assigned"

    /// The ports of a pod with these annotations, in the order that they were asked for in; empty until it has a node.
    public static func numbers(_ annotations: JSON) -> [Int] {
        (annotations[MesosNames.assignedPortsAnnotation].string ?? "").split(separator: ",")
            .compactMap { Int($0.filter { $0 != " " }) }
    }

    /// The places among the assigned ports that a DiscoveryInfo of annotations publishes.
    public static func places(_ discovery: JSON) -> [Int] {
        discovery["ports"]["ports"].elements.compactMap { $0[place].int }
    }

    /// Assigned ports as a `Resource`: those that a task publishes, or all when it publishes none; nil without any.
    public static func resource(_ task: JSON, _ annotations: JSON) -> JSON? {
        var numbers = numbers(annotations)
        let places = Set(places(task["discovery"]))
        if !places.isEmpty { numbers = numbers.indices.filter(places.contains).map { numbers[$0] } }
        guard !numbers.isEmpty else { return nil }
        return [
            "name": "ports", "type": "RANGES",
            "ranges": ["range": .array(numbers.sorted().map { ["begin": JSON($0), "end": JSON($0)] })],
        ]
    }

    /// A TaskInfo of annotations with the numbers that are known by now; what it was given is among its resources.
    static func resolve(task: JSON, _ annotations: JSON) -> JSON {
        var resolved = task
        if !task["discovery"].isNull { resolved["discovery"] = resolve(task["discovery"], annotations) }
        let resources = task["resources"].elements
        if !resources.contains(where: { $0["name"] == "ports" }), let ports = resource(task, annotations) {
            resolved["resources"] = .array(resources + [ports])
        }
        return resolved
    }

    /// A DiscoveryInfo of annotations with the numbers that are known by now, in Mesos's own form.
    public static func resolve(_ discovery: JSON, _ annotations: JSON) -> JSON {
        guard !places(discovery).isEmpty else { return discovery }
        let numbers = numbers(annotations)
        var resolved = discovery
        resolved["ports"]["ports"] = .array(
            discovery["ports"]["ports"].elements.map { port in
                guard let index = port[place].int else { return port }
                var port = port
                port.removeMember(place)
                if numbers.indices.contains(index) { port["number"] = JSON(numbers[index]) }
                return port
            })
        return resolved
    }
}
