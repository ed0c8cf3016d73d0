/// Commands for one `nft -f` transaction: all of them take effect, or none.
struct NftablesScript: Sendable {
    let table: String
    private(set) var lines: [String] = []

    init(table: String) {
        self.table = table
    }

    var isEmpty: Bool { lines.isEmpty }
    var text: String { lines.joined(separator: "\n") + "\n" }

    /// The table without any service, in place of whatever was there.
    mutating func replaceTable(podCIDR: String, serviceCIDR: String) {
        // `add` first: deleting a table that does not exist would fail the transaction.
        lines += ["add table ip \(table)", "delete table ip \(table)", "add table ip \(table)"]
        add("map", "services", "{ type ipv4_addr . inet_proto . inet_service : verdict; }")
        add("map", "node_ports", "{ type inet_proto . inet_service : verdict; }")
        add("set", "hairpins", "{ type ipv4_addr . ipv4_addr; }")
        add("set", "closed_node_ports", "{ type inet_proto . inet_service; }")
        add("set", "closed_addresses", "{ type ipv4_addr . inet_proto . inet_service; }")
        for chain in ["translate", "mark_outside", "refuse"] { add("chain", chain, "") }
        // Priorities as numbers (dstnat, srcnat, filter): older nft knows the names only in some hooks.
        hook("prerouting", type: "nat", priority: -100)
        hook("output", type: "nat", priority: -100)
        hook("postrouting", type: "nat", priority: 100)
        hook("filter_input", type: "filter", hook: "input", priority: 0)
        hook("filter_forward", type: "filter", hook: "forward", priority: 0)
        hook("filter_output", type: "filter", hook: "output", priority: 0)

        rule("translate", "ip daddr . meta l4proto . th dport vmap @services")
        rule("translate", "fib daddr type local meta l4proto . th dport vmap @node_ports")
        rule("prerouting", "jump translate")
        rule("output", "jump translate")

        // Sources that could not be answered directly: loopback, and clients outside of the cluster.
        rule("mark_outside", "ip saddr 127.0.0.0/8 meta mark set meta mark or 0x4000 return")
        rule("mark_outside", "ip saddr \(podCIDR) return")
        rule("mark_outside", "fib saddr type local return")
        rule("mark_outside", "meta mark set meta mark or 0x4000")
        rule("postrouting", "meta mark & 0x4000 == 0x4000 meta mark set meta mark xor 0x4000 masquerade")
        // Only what came by a service: a node that is its own endpoint also talks to itself.
        rule("postrouting", "ct status dnat ip saddr . ip daddr @hairpins masquerade")
        rule("postrouting", "ip saddr \(podCIDR) ip daddr != { \(podCIDR), 224.0.0.0/4 } oifname != \"lo\" masquerade")

        // Loopback routing is on for node ports on 127.0.0.1; nobody outside may reach loopback through it.
        rule(
            "filter_input",
            "iifname != \"lo\" ip saddr != 127.0.0.0/8 ip daddr 127.0.0.0/8 ct state new ct status ! dnat drop")
        rule("filter_input", "ct state new fib daddr type local meta l4proto . th dport @closed_node_ports goto refuse")
        for chain in ["filter_forward", "filter_output"] {
            // What was sent to a service and not translated has no endpoint, no such port or no such service.
            rule(chain, "ct state new ip daddr \(serviceCIDR) goto refuse")
            rule(chain, "ct state new ip daddr . meta l4proto . th dport @closed_addresses goto refuse")
        }
        rule("refuse", "meta l4proto tcp reject with tcp reset")
        rule("refuse", "reject")
    }

    /// From one fragment to another; either may be empty. Members of shared sets are left to the caller, who counts them.
    mutating func change(from old: Fragment, to new: Fragment) {
        for (name, declaration) in new.ownSets.sorted(by: { $0.key < $1.key }) where old.ownSets[name] != declaration {
            add("set", name, "{ \(declaration) }")
        }
        for name in new.chains.keys.sorted() where old.chains[name] == nil { add("chain", name, "") }
        for (name, rules) in new.chains.sorted(by: { $0.key < $1.key }) where old.chains[name] != rules {
            if old.chains[name] != nil { lines.append("flush chain ip \(table) \(name)") }
            for text in rules { rule(name, text) }
        }
        for map in NetworkMap.allCases {
            let before = old.elements[map] ?? [:]
            let after = new.elements[map] ?? [:]
            for (key, verdict) in before.sorted(by: { $0.key < $1.key }) where after[key] != verdict {
                lines.append("delete element ip \(table) \(map.rawValue) { \(key) }")
            }
            for (key, verdict) in after.sorted(by: { $0.key < $1.key }) where before[key] != verdict {
                lines.append("add element ip \(table) \(map.rawValue) { \(key) : \(verdict) }")
            }
        }
        let gone = old.chains.keys.filter { new.chains[$0] == nil }.sorted()
        // Chains may jump to each other: empty all before any is deleted.
        for name in gone { lines.append("flush chain ip \(table) \(name)") }
        for name in gone { lines.append("delete chain ip \(table) \(name)") }
        for name in old.ownSets.keys.sorted() where new.ownSets[name] == nil {
            lines.append("delete set ip \(table) \(name)")
        }
    }

    mutating func addMember(_ member: String, to set: NetworkSet) {
        lines.append("add element ip \(table) \(set.rawValue) { \(member) }")
    }

    mutating func removeMember(_ member: String, from set: NetworkSet) {
        lines.append("delete element ip \(table) \(set.rawValue) { \(member) }")
    }

    private mutating func add(_ type: String, _ name: String, _ body: String) {
        lines.append("add \(type) ip \(table) \(name) \(body)")
    }

    private mutating func hook(_ name: String, type: String, hook: String? = nil, priority: Int) {
        add("chain", name, "{ type \(type) hook \(hook ?? name) priority \(priority); policy accept; }")
    }

    private mutating func rule(_ chain: String, _ text: String) {
        lines.append("add rule ip \(table) \(chain) \(text)")
    }
}
