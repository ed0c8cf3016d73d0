import CLinux
import Glibc
import NIOPosix

/// Connects to a port on the loopback address of a network namespace.
///
/// A namespace belongs to a thread, so each connection is made on a thread of its own that ends afterwards: no thread of
/// a pool is ever in the wrong namespace. The socket keeps the namespace it was made in.
enum NamespaceDialer {
    /// - Parameter namespace: path of the namespace, nil for the one of this process.
    /// - Returns: a connected socket that the caller owns.
    /// - Throws: `RuntimeError`: the last failure of 127.0.0.1 and then ::1.
    static func connect(namespace: String?, port: UInt16) async throws -> CInt {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<CInt, any Error>) in
            let job = Unmanaged.passRetained(
                Job { continuation.resume(with: Result { try dial(namespace, port) }) })
            var thread = pthread_t()
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            defer { pthread_attr_destroy(&attributes) }
            pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
            let result = pthread_create(
                &thread, &attributes,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<Job>.fromOpaque(argument).takeRetainedValue().run()
                    return nil
                }, job.toOpaque())
            if result != 0 {
                job.release()
                continuation.resume(throwing: failure("start a thread", result))
            }
        }
    }

    private final class Job {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    private static func dial(_ namespace: String?, _ port: UInt16) throws -> CInt {
        if let namespace {
            let descriptor = open(namespace, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw failure("open \(namespace)", errno) }
            defer { close(descriptor) }
            let newNetwork: Int32 = 0x4000_0000
            guard clinux_setns(descriptor, newNetwork) == 0 else { throw failure("enter \(namespace)", errno) }
        }
        do {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            return try dial(AF_INET, &address, port)
        } catch {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            address.sin6_addr = in6addr_loopback
            // When neither answers, the first failure says more: most programs listen on IPv4.
            guard let descriptor = try? dial(AF_INET6, &address, port) else { throw error }
            return descriptor
        }
    }

    private static func dial<Address>(_ family: Int32, _ address: inout Address, _ port: UInt16) throws -> CInt {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure("make a socket", errno) }
        // Loopback answers at once, except when the listener's backlog is full.
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard result == 0 else {
            let error = failure("connect to port \(port)", errno)
            close(descriptor)
            throw error
        }
        limit.tv_sec = 0
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        return descriptor
    }

    private static func failure(_ what: String, _ code: Int32) -> RuntimeError {
        let words = code == EINPROGRESS ? "timed out" : String(cString: strerror(code))
        return RuntimeError(.unavailable, operation: "connect", "cannot \(what): \(words)")
    }
}
