import JSON
import ObjectModel

/// Ingresses and network policies.
enum NetworkValidation {
    static func ingress(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        if spec["rules"].elements.isEmpty, spec["defaultBackend"].isNull {
            problems.add(
                .invalid(
                    "spec", spec.members.isEmpty ? .null : spec, "either `defaultBackend` or `rules` must be specified")
            )
        }
        if !spec["defaultBackend"].isNull { backend(spec["defaultBackend"], "spec.defaultBackend", &problems) }
        for (index, rule) in spec["rules"].elements.enumerated() {
            let path = "spec.rules[\(index)]"
            if let host = rule["host"].string, !host.isEmpty {
                if IPAddress(host) != nil {
                    problems.add(.invalid("\(path).host", .string(host), "must be a DNS name, not an IP address"))
                }
                let plain = host.hasPrefix("*.") ? String(host.dropFirst(2)) : host
                problems.syntax("\(path).host", host, Names.dns1123SubdomainProblems(plain))
            }
            guard !rule["http"].isNull else { continue }
            problems.need("\(path).http.paths", rule["http"]["paths"])
            for (place, entry) in rule["http"]["paths"].elements.enumerated() {
                let field = "\(path).http.paths[\(place)]"
                let type = entry["pathType"].string
                if type == nil {
                    problems.add(.required("\(field).pathType", "pathType must be specified"))
                } else {
                    problems.choice(
                        "\(field).pathType", entry["pathType"], ["Exact", "ImplementationSpecific", "Prefix"])
                }
                let text = entry["path"].string ?? ""
                if type != "ImplementationSpecific" || !text.isEmpty, !text.hasPrefix("/") {
                    problems.add(.invalid("\(field).path", .string(text), "must be an absolute path"))
                }
                if type == "Exact" || type == "Prefix" {
                    for part in ["//", "/./", "/../", "%2f", "%2F"] where text.contains(part) {
                        problems.add(.invalid("\(field).path", .string(text), "must not contain '\(part)'"))
                    }
                    for end in ["/..", "/."] where text.hasSuffix(end) {
                        problems.add(.invalid("\(field).path", .string(text), "cannot end with '\(end)'"))
                    }
                }
                backend(entry["backend"], "\(field).backend", &problems)
            }
        }
        for (index, tls) in spec["tls"].elements.enumerated() {
            for (place, host) in tls["hosts"].elements.compactMap(\.string).enumerated() {
                let plain = host.hasPrefix("*.") ? String(host.dropFirst(2)) : host
                problems.syntax("spec.tls[\(index)].hosts[\(place)]", host, Names.dns1123SubdomainProblems(plain))
            }
            if let name = tls["secretName"].string, !name.isEmpty {
                problems.syntax("spec.tls[\(index)].secretName", name, Names.dns1123SubdomainProblems(name))
            }
        }
        return problems.list
    }

    static func ingressClass(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let controller = tree["spec"]["controller"].string ?? ""
        if controller.isEmpty {
            problems.add(.required("spec.controller"))
        } else {
            problems.domainPath("spec.controller", controller)
        }
        let parameters = tree["spec"]["parameters"]
        if !parameters.isNull {
            problems.need("spec.parameters.kind", parameters["kind"])
            problems.need("spec.parameters.name", parameters["name"])
            problems.choice("spec.parameters.scope", parameters["scope"], ["Cluster", "Namespace"])
        }
        return problems.list
    }

    private static func backend(_ backend: JSON, _ path: String, _ problems: inout Problems) {
        if !backend["service"].isNull, !backend["resource"].isNull {
            problems.add(.invalid(path, "", "cannot set both resource and service backends"))
        } else if !backend["service"].isNull {
            let service = backend["service"]
            problems.need("\(path).service.name", service["name"])
            if let name = service["name"].string, !name.isEmpty {
                problems.syntax("\(path).service.name", name, Names.dns1123LabelProblems(name))
            }
            let port = service["port"]
            if port["name"].isNull, port["number"].isNull {
                problems.add(.required(path, "port name or number is required"))
            } else if !port["name"].isNull, !port["number"].isNull {
                problems.add(.invalid(path, "", "cannot set both port name & port number"))
            }
        } else if backend["resource"].isNull {
            problems.add(.invalid(path, "", "resource or service backend is required"))
        }
    }

    static func policy(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        problems.labelSelector("spec.podSelector", spec["podSelector"])
        for (list, peers) in [("ingress", "from"), ("egress", "to")] {
            for (index, rule) in spec[list].elements.enumerated() {
                for (place, port) in rule["ports"].elements.enumerated() {
                    let field = "spec.\(list)[\(index)].ports[\(place)]"
                    problems.choice(
                        "\(field).protocol", port["protocol"], ["TCP", "UDP", "SCTP"], isSorted: false)
                    if !port["port"].isNull { problems.portOrName("\(field).port", port["port"]) }
                    if let end = port["endPort"].int {
                        guard let start = port["port"].int else {
                            problems.add(
                                .invalid(
                                    "\(field).endPort", port["endPort"],
                                    "may not be specified when `port` is non-numeric or not specified"))
                            continue
                        }
                        if end < start {
                            problems.add(
                                .invalid("\(field).endPort", port["endPort"], "must be greater than or equal to `port`")
                            )
                        }
                    }
                }
                for (place, peer) in rule[peers].elements.enumerated() {
                    self.peer(peer, "spec.\(list)[\(index)].\(peers)[\(place)]", &problems)
                }
            }
        }
        for (index, type) in spec["policyTypes"].elements.enumerated()
        where !["Ingress", "Egress"].contains(type.string ?? "") {
            problems.add(.notSupported("spec.policyTypes[\(index)]", type, ["Ingress", "Egress"], isSorted: false))
        }
        return problems.list
    }

    private static func peer(_ peer: JSON, _ path: String, _ problems: inout Problems) {
        if peer.members.isEmpty { problems.add(.required(path, "must specify a peer")) }
        problems.labelSelector("\(path).podSelector", peer["podSelector"])
        problems.labelSelector("\(path).namespaceSelector", peer["namespaceSelector"])
        let block = peer["ipBlock"]
        guard !block.isNull else { return }
        if !peer["podSelector"].isNull || !peer["namespaceSelector"].isNull {
            problems.add(.forbidden(path, "may not specify both ipBlock and another peer"))
        }
        let words = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        guard let range = CIDR(block["cidr"].string ?? "") else {
            if (block["cidr"].string ?? "").isEmpty {
                problems.add(.required("\(path).ipBlock.cidr"))
            } else {
                problems.add(.invalid("\(path).ipBlock.cidr", block["cidr"], words))
            }
            return
        }
        for (index, exception) in block["except"].elements.enumerated() {
            let field = "\(path).ipBlock.except[\(index)]"
            guard let part = CIDR(exception.string ?? "") else {
                problems.add(.invalid(field, exception, words))
                continue
            }
            if !range.contains(part) || part.prefixLength <= range.prefixLength {
                problems.add(.invalid(field, exception, "must be a strict subset of `cidr`"))
            }
        }
    }
}
