import JSON
import Testing

@Suite("Numbers of clients become integers")
struct BoundedNumbersTests {
    @Test("Every double is some integer")
    func doubles() {
        let most = 1 << 62
        #expect(Int(bounded: .nan) == 0)
        #expect(Int(bounded: .infinity) == most)
        #expect(Int(bounded: -.infinity) == -most)
        #expect(Int64(bounded: 1e30) == Int64(most))
        #expect(Int64(bounded: -1e30) == -Int64(most))
        #expect(Int(bounded: -1.9) == -1)
        #expect(Int(bounded: .leastNonzeroMagnitude) == 0)
    }

    @Test("Sums, differences and products end where the range ends")
    func arithmetic() {
        #expect(Int.max.addingSaturated(1) == .max)
        #expect(Int.min.addingSaturated(-1) == .min)
        #expect(Int.min.subtractingSaturated(1) == .min)
        #expect(Int.max.subtractingSaturated(-1) == .max)
        #expect(Int.max.multipliedSaturated(by: -2) == .min)
        #expect(Int.min.multipliedSaturated(by: -1) == .max)
    }

    @Test("Seconds are at most three thousand years")
    func seconds() {
        #expect(Duration.seconds(bounded: .nan) == .zero)
        #expect(Duration.seconds(bounded: 1e300) == .seconds(100_000_000_000))
        #expect(Duration.seconds(bounded: 1.5) == .milliseconds(1500))
    }
}
