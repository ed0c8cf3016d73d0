import ObjectModel

/// Numbers from a range, each held by at most one owner. Random ones are taken from above a band that is left to those
/// who ask for a certain number, and from that band only when the rest is used up (KEP-3070, KEP-3668).
struct NumberPool: Sendable {
    let range: Range<Int>
    /// Size of the band at the beginning of the range.
    let band: Int
    private var owners: [Int: ObjectKey] = [:]

    init(range: Range<Int>, band: Int) {
        self.range = range
        self.band = min(band, range.count)
    }

    func owner(of number: Int) -> ObjectKey? { owners[number] }
    var usedCount: Int { owners.count }

    /// Takes a certain number; false when another owner has it.
    mutating func take(_ number: Int, for owner: ObjectKey) -> Bool {
        if let known = owners[number] { return known == owner }
        owners[number] = owner
        return true
    }

    /// Takes a free number; nil when none is left.
    mutating func takeAny(for owner: ObjectKey) -> Int? {
        for part in [(range.lowerBound + band)..<range.upperBound, range.lowerBound..<(range.lowerBound + band)]
        where !part.isEmpty {
            // A few random tries, then the first free one.
            for _ in 0..<16 {
                let number = Int.random(in: part)
                if owners[number] == nil {
                    owners[number] = owner
                    return number
                }
            }
            if let number = part.first(where: { owners[$0] == nil }) {
                owners[number] = owner
                return number
            }
        }
        return nil
    }

    /// Gives a number back, if the owner has it.
    mutating func release(_ number: Int, of owner: ObjectKey) {
        if owners[number] == owner { owners.removeValue(forKey: number) }
    }
}
