import Glibc

/// A sleep of the calling thread.
enum Sleep {
    static func microseconds(_ count: Int) {
        var time = timespec(tv_sec: 0, tv_nsec: count * 1000)
        nanosleep(&time, nil)
    }
}
