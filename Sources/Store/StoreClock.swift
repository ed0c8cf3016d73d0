import Glibc

/// The wall clock that expiry goes by.
public enum StoreClock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public static func wall() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }
}
