import ObjectModel

/// What this process believes to be in the kernel's table, and the way from there to what should be.
struct TableState: Sendable {
    /// Who accounts for a fragment.
    enum Owner: Hashable, Sendable {
        case service(ObjectKey)
        case hostPorts(ObjectKey)
        case virtualAddress(VirtualAddress)
    }
    private(set) var fragments: [Owner: Fragment] = [:]
    private var memberCounts: [NetworkSet: [String: Int]] = [:]
    /// First owner of a map element wins; a second one that claims it is left out until the first lets go.
    private var elementOwners: [NetworkMap: [String: Owner]] = [:]

    init() {}

    /// Appends the commands that change one owner's part, and takes note of the change. Nil removes the part.
    /// - Returns: true when an element was released that another owner may be waiting for.
    mutating func set(_ owner: Owner, to wanted: Fragment?, script: inout NftablesScript) -> Bool {
        let old = fragments[owner] ?? Fragment()
        var new = wanted ?? Fragment()
        guard old != new else { return false }
        var released = false
        for map in NetworkMap.allCases {
            for key in Array((new.elements[map] ?? [:]).keys) {
                if let holder = elementOwners[map]?[key], holder != owner {
                    new.elements[map]?[key] = nil
                } else {
                    elementOwners[map, default: [:]][key] = owner
                }
            }
            for key in (old.elements[map] ?? [:]).keys where new.elements[map]?[key] == nil {
                elementOwners[map]?[key] = nil
                released = true
            }
        }
        guard old != new else { return false }
        script.change(from: old, to: new)
        for set in NetworkSet.allCases {
            let before = old.members[set] ?? []
            let after = new.members[set] ?? []
            for member in after.subtracting(before).sorted() {
                memberCounts[set, default: [:]][member, default: 0] += 1
                if memberCounts[set]?[member] == 1 { script.addMember(member, to: set) }
            }
            for member in before.subtracting(after).sorted() {
                memberCounts[set, default: [:]][member, default: 0] -= 1
                if memberCounts[set]?[member] == 0 {
                    memberCounts[set]?[member] = nil
                    script.removeMember(member, from: set)
                }
            }
        }
        fragments[owner] = new == Fragment() ? nil : new
        return released
    }
}
