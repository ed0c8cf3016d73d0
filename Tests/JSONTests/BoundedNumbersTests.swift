import JSON
import Testing

@Test(arguments: [
    (Double.nan, 0), (.infinity, 1 << 62), (-.infinity, -(1 << 62)), (1e30, 1 << 62), (-1e30, -(1 << 62)), (1.9, 1),
    (-1.9, -1), (5e-324, 0),
])
func everyDoubleIsSomeInteger(value: Double, expected: Int) {
    #expect(Int(bounded: value) == expected)
    #expect(Int64(bounded: value) == Int64(expected))
}

@Test func sumsEndWhereTheRangeEnds() {
    #expect(Int.max.addingSaturated(1) == .max && Int.min.addingSaturated(-1) == .min && 2.addingSaturated(-3) == -1)
    #expect(Int.min.subtractingSaturated(1) == .min && Int.max.subtractingSaturated(-1) == .max)
    #expect(Int.max.multipliedSaturated(by: -2) == .min && Int.min.multipliedSaturated(by: -1) == .max)
}

@Test func secondsAreBounded() {
    #expect(Duration.seconds(bounded: .nan) == .zero)
    #expect(Duration.seconds(bounded: 1e300) == .seconds(100_000_000_000))
    #expect(Duration.seconds(bounded: 1.5) == .milliseconds(1500))
}
