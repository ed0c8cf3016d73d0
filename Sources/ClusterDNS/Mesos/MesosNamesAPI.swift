import HTTPWindow
import JSON
import ObjectModel

/// Mesos-DNS's own HTTP API (port 8123): the same names for programs that do not speak DNS.
struct MesosNamesAPI: Sendable {
    let zone: MesosZone
    /// Of Apus.
    let version: String
    let port: Int

    func answer(_ request: WindowRequest) throws -> WindowResponse {
        guard request.method == "GET" || request.method == "HEAD" else {
            throw WindowError(405, "names are read with GET")
        }
        let parts = request.path.split(separator: "/").map(String.init)
        guard parts.first == "v1" else { throw WindowError(404, "names are served below /v1") }
        switch (parts.dropFirst().first, parts.count) {
        case ("version", 2):
            return WindowResponse(json: [
                "Service": "Mesos-DNS", "Version": .string(version), "URL": "https://github.com/mesosphere/mesos-dns",
            ])
        case ("config", 2): return WindowResponse(json: configuration)
        case ("hosts", 3): return WindowResponse(json: hosts(parts[2]))
        case ("hosts", 4) where parts[3] == "ports":
            return WindowResponse(
                501, text: "ports are not listed by host: ask for the SRV records of a task, /v1/services/_TASK._tcp.…")
        case ("services", 3): return WindowResponse(json: services(parts[2]))
        case ("enumerate", 2): return pieces { try await enumerate($0) }
        case ("axfr", 2): return pieces { try await transfer($0) }
        default: throw WindowError(404, "there is no \(request.path)")
        }
    }

    private func pieces(_ write: @escaping @Sendable (WindowWriter) async throws -> Void) -> WindowResponse {
        .inPieces(headers: [("Content-Type", "application/json")], write)
    }

    var configuration: JSON {
        [
            "RefreshSeconds": 0, "Port": 53, "Timeout": 2, "StateTimeoutSeconds": 0, "ZkDetectionTimeout": 0,
            "HttpPort": JSON(port), "TTL": .integer(Int64(zone.timeToLive)),
            "SOASerial": .integer(Int64(zone.serial())),
            "SOAMname": .string("ns1.\(zone.domain)"), "SOARname": .string("root.ns1.\(zone.domain)"),
            "SOARefresh": 7200, "SOARetry": 1800, "SOAExpire": 86400, "SOAMinttl": .integer(Int64(zone.timeToLive)),
            "Masters": [.string("\(zone.settings.address):\(zone.settings.masterPort)")], "Resolvers": [],
            "IPSources": ["netinfo", "mesos", "host"], "Domain": .string(zone.settings.domain),
            "Listener": .string(zone.settings.address), "DNSOn": true, "HTTPOn": true, "ExternalOn": true,
            "EnforceRFC952": false, "RecurseOn": true, "EnumerationOn": true,
        ]
    }

    private func ask(_ text: String, _ type: DNSType) -> [DNSRecord] {
        zone.answer(DNSQuestion(name: DNSName(text), type: type, recordClass: 1))?.answers ?? []
    }

    /// `[{host, ip}]`; one with empty texts when there is no such name, as clients expect.
    func hosts(_ name: String) -> JSON {
        let found = [DNSType.a, .aaaa].flatMap { ask(name, $0) }.compactMap { record -> JSON? in
            guard case .address(let bytes) = record.data else { return nil }
            return ["host": .string("\(record.name)"), "ip": .string(Self.text(bytes))]
        }
        return .array(found.isEmpty ? [["host": "", "ip": ""]] : found)
    }

    /// `[{service, host, ip, port}]`, all texts.
    func services(_ name: String) -> JSON {
        let found = ask(name, .srv).compactMap { record -> JSON? in
            guard case .service(_, _, let port, let target) = record.data else { return nil }
            var address = ""
            if case .address(let bytes)? = ask("\(target)", .a).first?.data { address = Self.text(bytes) }
            return [
                "service": .string(name), "host": .string("\(target)"), "ip": .string(address),
                "port": .string("\(port)"),
            ]
        }
        return .array(found.isEmpty ? [["service": "", "host": "", "ip": "", "port": ""]] : found)
    }

    /// Every framework with its tasks and their records, a task at a time.
    private func enumerate(_ writer: WindowWriter) async throws {
        try await writer.write("{\"frameworks\":[")
        for (index, framework) in zone.pods().enumerated() {
            let head = "\(index == 0 ? "" : ",")\n{\"name\":\(JSON.string(framework.name)),\"tasks\":["
            try await writer.write(head)
            var isFirst = true
            for pod in framework.pods {
                for (task, records) in zone.records(of: pod) {
                    let entry: JSON = [
                        "name": .string(task.name), "id": .string(task.taskID),
                        "records": .array(
                            records.map { record in
                                [
                                    "name": .string("\(record.name)"), "host": .string(Self.text(record)),
                                    "rtype": .string(Self.typeName(record)),
                                ]
                            }),
                    ]
                    try await writer.write((isFirst ? "\n" : ",\n") + "\(entry)")
                    isFirst = false
                }
            }
            try await writer.write("]}")
        }
        try await writer.write("]}\n")
    }

    /// The whole zone: names with their values by type.
    private func transfer(_ writer: WindowWriter) async throws {
        let head: JSON = [
            "TTL": .integer(Int64(zone.timeToLive)), "Serial": .integer(Int64(zone.serial())), "RefreshSeconds": 0,
            "Mname": .string("ns1.\(zone.domain)"), "Rname": .string("root.ns1.\(zone.domain)"),
            "Domain": .string(zone.settings.domain),
        ]
        try await writer.write("\(head)".dropLast() + ",\"Records\":{")
        for (index, type) in [("As", DNSType.a), ("AAAAs", .aaaa), ("SRVs", .srv)].enumerated() {
            var values: [String: Set<String>] = [:]
            for name in zone.specialNames() {
                let records = ask(name, type.1).filter { $0.type == type.1 }
                if !records.isEmpty { values["\(DNSName(name))"] = Set(records.map(Self.text)) }
            }
            for pod in zone.pods().flatMap(\.pods) {
                for (_, records) in zone.records(of: pod) {
                    for record in records where record.type == type.1 {
                        values["\(record.name)", default: []].insert(Self.text(record))
                    }
                }
            }
            let set = JSON.object(
                .init(uniqueKeysWithValues: values.sorted { $0.key < $1.key }.map { ($0.key, JSON($0.value.sorted())) })
            )
            try await writer.write("\(index == 0 ? "" : ",")\"\(type.0)\":\(set)")
        }
        try await writer.write("}}\n")
    }

    private static func text(_ bytes: [UInt8]) -> String {
        if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
        let groups = stride(from: 0, to: bytes.count, by: 2).map {
            String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
        }
        return IPAddress(groups.joined(separator: ":")).map(\.description) ?? groups.joined(separator: ":")
    }

    private static func text(_ record: DNSRecord) -> String {
        switch record.data {
        case .address(let bytes): text(bytes)
        case .service(_, _, let port, let target): "\(target):\(port)"
        case .name(let name, _): "\(name)"
        case .text(let text): text
        case .authority(let server, _, _, _): "\(server)"
        }
    }

    private static func typeName(_ record: DNSRecord) -> String {
        switch record.type {
        case .a: "A"
        case .aaaa: "AAAA"
        case .srv: "SRV"
        default: "TXT"
        }
    }
}

extension MesosZone {
    /// Everything that has names, by framework.
    func pods() -> [(name: String, pods: [MesosPodView])] {
        state.withLock { state in
            let all = Array(state.pods.values) + Array(state.objects.values)
            return Dictionary(grouping: all) { framework(of: $0, state) }.sorted { $0.key < $1.key }
                .map { ($0.key, $0.value.sorted { $0.key < $1.key }) }
        }
    }

    /// Names of the master, the agents and the frameworks.
    func specialNames() -> [String] {
        let own = ["leader", "master", "master0", "slave", "ns1", "_leader._tcp", "_leader._udp", "_slave._tcp"]
        let frameworks = pods().map(\.name).flatMap { [$0, "_framework._tcp.\($0)"] }
        return (own + frameworks).map { "\($0).\(domain)" }
    }

    /// The tasks of a pod with their records in the Mesos domain.
    func records(of pod: MesosPodView) -> [(MesosTaskView, [DNSRecord])] {
        state.withLock { state in pod.tasks.map { ($0, records(of: $0, pod, domain, state)) } }
    }
}
