/// A set of Unicode scalars as sorted, disjoint, non-adjacent ranges.
struct ScalarSet: Sendable, Hashable {
    static let last: UInt32 = 0x10ffff
    private(set) var ranges: [ClosedRange<UInt32>]

    init() { ranges = [] }
    init(_ ranges: [ClosedRange<UInt32>]) {
        let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
        var merged: [ClosedRange<UInt32>] = []
        merged.reserveCapacity(sorted.count)
        for range in sorted {
            if let previous = merged.last, range.lowerBound <= previous.upperBound &+ 1 {
                if range.upperBound > previous.upperBound {
                    merged[merged.count - 1] = previous.lowerBound...range.upperBound
                }
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
    }

    var inverted: ScalarSet {
        var result: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= Self.last { result.append(next...Self.last) }
        return ScalarSet(result)
    }

    func contains(_ scalar: UInt32) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            let range = ranges[middle]
            if scalar < range.lowerBound {
                high = middle
            } else if scalar > range.upperBound {
                low = middle + 1
            } else {
                return true
            }
        }
        return false
    }

    /// The set with all case variants of its members.
    var folded: ScalarSet {
        var added: [ClosedRange<UInt32>] = []
        for (scalar, variants) in CaseFolding.orbits where contains(scalar) {
            for variant in variants { added.append(variant...variant) }
        }
        return added.isEmpty ? self : ScalarSet(ranges + added)
    }
}

/// Simple case folding: scalars that differ only by case.
enum CaseFolding {
    /// Every scalar that has case variants, with the variants.
    static let orbits: [(UInt32, [UInt32])] = {
        var groups: [UInt32: [UInt32]] = [:]
        // The cased scripts end with Adlam.
        for value in UInt32(0x41)...0x1e943 {
            guard let scalar = Unicode.Scalar(value), scalar.properties.isCased else { continue }
            let upper = scalar.properties.uppercaseMapping.unicodeScalars
            guard upper.count == 1, let first = upper.first else { continue }
            // Through upper and back, so that final sigma and the Kelvin sign find their relatives.
            let lower = first.properties.lowercaseMapping.unicodeScalars
            let key = lower.count == 1 ? lower.first?.value ?? value : value
            groups[key, default: []].append(value)
        }
        return groups.values.filter { $0.count > 1 }.flatMap { group in
            group.map { member in (member, group.filter { $0 != member }) }
        }.sorted { $0.0 < $1.0 }
    }()
}

/// Named classes: Perl's, POSIX's and Unicode's.
enum NamedClass {
    static let digit = ScalarSet([0x30...0x39])
    static let space = ScalarSet([0x09...0x0a, 0x0c...0x0d, 0x20...0x20])
    static let word = ScalarSet([0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])

    static func perl(_ letter: UInt32) -> ScalarSet? {
        switch letter {
        case 0x64: digit
        case 0x44: digit.inverted
        case 0x73: space
        case 0x53: space.inverted
        case 0x77: word
        case 0x57: word.inverted
        default: nil
        }
    }

    static func posix(_ name: String) -> ScalarSet? {
        switch name {
        case "alnum": ScalarSet([0x30...0x39, 0x41...0x5a, 0x61...0x7a])
        case "alpha": ScalarSet([0x41...0x5a, 0x61...0x7a])
        case "ascii": ScalarSet([0...0x7f])
        case "blank": ScalarSet([0x09...0x09, 0x20...0x20])
        case "cntrl": ScalarSet([0...0x1f, 0x7f...0x7f])
        case "digit": digit
        case "graph": ScalarSet([0x21...0x7e])
        case "lower": ScalarSet([0x61...0x7a])
        case "print": ScalarSet([0x20...0x7e])
        case "punct": ScalarSet([0x21...0x2f, 0x3a...0x40, 0x5b...0x60, 0x7b...0x7e])
        case "space": ScalarSet([0x09...0x0d, 0x20...0x20])
        case "upper": ScalarSet([0x41...0x5a])
        case "word": word
        case "xdigit": ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66])
        default: nil
        }
    }

    /// A general category (`L`, `Lu`), `Any`, or one of the scripts in wide use.
    static func unicode(_ name: String) -> ScalarSet? {
        if name == "Any" { return ScalarSet([0...ScalarSet.last]) }
        if let ranges = scripts[name] { return ScalarSet(ranges) }
        if let set = categories[name] { return set }
        guard name.utf8.count == 1 else { return nil }
        let members = categories.filter { $0.key.hasPrefix(name) }
        return members.isEmpty ? nil : ScalarSet(members.values.flatMap(\.ranges))
    }

    /// The main blocks of scripts; rare extensions outside of them are left out.
    private static let scripts: [String: [ClosedRange<UInt32>]] = [
        "Latin": [
            0x41...0x5a, 0x61...0x7a, 0xaa...0xaa, 0xba...0xba, 0xc0...0xd6, 0xd8...0xf6, 0xf8...0x2b8,
            0x2e0...0x2e4, 0x1d00...0x1d25, 0x1d2c...0x1d5c, 0x1d62...0x1d65, 0x1d6b...0x1d77, 0x1d79...0x1dbe,
            0x1e00...0x1eff, 0x2071...0x2071, 0x207f...0x207f, 0x2090...0x209c, 0x212a...0x212b, 0x2132...0x2132,
            0x214e...0x214e, 0x2160...0x2188, 0x2c60...0x2c7f, 0xa722...0xa787, 0xa78b...0xa7ca, 0xab30...0xab5a,
            0xfb00...0xfb06, 0xff21...0xff3a, 0xff41...0xff5a,
        ],
        "Greek": [
            0x370...0x373, 0x375...0x377, 0x37a...0x37d, 0x37f...0x37f, 0x384...0x384, 0x386...0x386, 0x388...0x38a,
            0x38c...0x38c, 0x38e...0x3a1, 0x3a3...0x3e1, 0x3f0...0x3ff, 0x1d26...0x1d2a, 0x1f00...0x1ffe,
            0x2126...0x2126,
        ],
        "Cyrillic": [0x400...0x484, 0x487...0x52f, 0x1c80...0x1c88, 0x1d2b...0x1d2b, 0x2de0...0x2dff, 0xa640...0xa69f],
        "Arabic": [
            0x600...0x604, 0x606...0x60b, 0x60d...0x61a, 0x61c...0x61e, 0x620...0x63f, 0x641...0x64a, 0x656...0x66f,
            0x671...0x6dc, 0x6de...0x6ff, 0x750...0x77f, 0x8a0...0x8ff, 0xfb50...0xfdff, 0xfe70...0xfefc,
        ],
        "Hebrew": [0x591...0x5c7, 0x5d0...0x5ea, 0x5ef...0x5f4, 0xfb1d...0xfb4f],
        "Devanagari": [0x900...0x950, 0x955...0x963, 0x966...0x97f, 0xa8e0...0xa8ff],
        "Thai": [0xe01...0xe3a, 0xe40...0xe5b],
        "Hiragana": [0x3041...0x3096, 0x309d...0x309f],
        "Katakana": [0x30a1...0x30fa, 0x30fd...0x30ff, 0x31f0...0x31ff, 0xff66...0xff6f, 0xff71...0xff9d],
        "Hangul": [0x1100...0x11ff, 0x3131...0x318e, 0xa960...0xa97c, 0xac00...0xd7a3, 0xd7b0...0xd7fb],
        "Han": [
            0x2e80...0x2e99, 0x2e9b...0x2ef3, 0x2f00...0x2fd5, 0x3005...0x3005, 0x3007...0x3007, 0x3021...0x3029,
            0x3038...0x303b, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xf900...0xfad9, 0x20000...0x323af,
        ],
        "Armenian": [0x531...0x556, 0x559...0x58a, 0x58d...0x58f],
        "Georgian": [0x10a0...0x10c5, 0x10d0...0x10fa, 0x10fc...0x10ff, 0x1c90...0x1cbf, 0x2d00...0x2d2d],
        "Bengali": [0x980...0x9fe], "Tamil": [0xb82...0xbfa], "Telugu": [0xc00...0xc7f],
    ]

    /// The two-letter general categories, from one walk over the assigned planes.
    private static let categories: [String: ScalarSet] = {
        var ranges: [String: [ClosedRange<UInt32>]] = [:]
        func walk(_ values: ClosedRange<UInt32>) {
            var start = values.lowerBound
            var current: String?
            for value in values {
                let name = Unicode.Scalar(value).map { abbreviation($0.properties.generalCategory) } ?? "Cs"
                if name != current {
                    if let current { ranges[current, default: []].append(start...value - 1) }
                    (start, current) = (value, name)
                }
            }
            if let current { ranges[current, default: []].append(start...values.upperBound) }
        }
        walk(0...0x323af)
        walk(0xe0000...0xe01ef)
        ranges["Co", default: []] += [0xf0000...0xffffd, 0x100000...0x10fffd]
        ranges["Cn"] = nil
        return ranges.mapValues { ScalarSet($0) }
    }()

    private static func abbreviation(_ category: Unicode.GeneralCategory) -> String {
        switch category {
        case .uppercaseLetter: "Lu"
        case .lowercaseLetter: "Ll"
        case .titlecaseLetter: "Lt"
        case .modifierLetter: "Lm"
        case .otherLetter: "Lo"
        case .nonspacingMark: "Mn"
        case .spacingMark: "Mc"
        case .enclosingMark: "Me"
        case .decimalNumber: "Nd"
        case .letterNumber: "Nl"
        case .otherNumber: "No"
        case .connectorPunctuation: "Pc"
        case .dashPunctuation: "Pd"
        case .openPunctuation: "Ps"
        case .closePunctuation: "Pe"
        case .initialPunctuation: "Pi"
        case .finalPunctuation: "Pf"
        case .otherPunctuation: "Po"
        case .mathSymbol: "Sm"
        case .currencySymbol: "Sc"
        case .modifierSymbol: "Sk"
        case .otherSymbol: "So"
        case .spaceSeparator: "Zs"
        case .lineSeparator: "Zl"
        case .paragraphSeparator: "Zp"
        case .control: "Cc"
        case .format: "Cf"
        case .surrogate: "Cs"
        case .privateUse: "Co"
        case .unassigned: "Cn"
        @unknown default: "Cn"
        }
    }
}
