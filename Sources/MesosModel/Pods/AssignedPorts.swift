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

    /// A TaskInfo of annotations with the numbers that are known by now.
    static func resolve(task: JSON, _ annotations: JSON) -> JSON {
        guard !task["discovery"].isNull else { return task }
        var task = task
        task["discovery"] = resolve(task["discovery"], annotations)
        return task
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
