import Glibc

/// An advisory lock beside the database, so that two processes never write one database with separate revisions.
///
/// The kernel gives it back when the process ends, however it ends.
final class DataLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `.backend` naming the holder when another process (or another store of this one) has it.
    init(path: String) throws(StoreError) {
        // In a local until all is well: an initializer that throws after its last property is set runs `deinit` too, and
        // closing twice closes somebody else's file.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if descriptor < 0 {
            let reason = String(cString: strerror(errno))
            throw .backend("\(path) cannot be opened: \(reason); check that its directory exists and is writable")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = Self.holder(descriptor)
            Glibc.close(descriptor)
            throw .backend(
                "the data is in use by \(holder) (lock \(path)); stop that process, or give this one another --data-dir"
            )
        }
        let text = Array("\(getpid())\n".utf8)
        ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
        self.descriptor = descriptor
    }

    /// Gives the lock back. The file stays: removing it would let two processes lock two different files.
    func release() { flock(descriptor, LOCK_UN) }

    deinit { Glibc.close(descriptor) }

    private static func holder(_ descriptor: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        let digits = buffer.prefix(max(0, count)).filter { (0x30...0x39).contains($0) }
        return digits.isEmpty ? "another process" : "process \(String(decoding: digits, as: UTF8.self))"
    }
}
