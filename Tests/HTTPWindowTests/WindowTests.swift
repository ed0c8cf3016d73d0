import AsyncHTTPClient
import JSON
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing

@testable import HTTPWindow

/// Runs a window on a free port for the time of a closure, and stops it gracefully.
private func serve(
    _ credentials: WindowCredentials? = nil, openPaths: Set<String> = [],
    _ handler: @escaping Window.Handler, _ use: (Int) async throws -> Void
) async throws {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    var configuration = Window.Configuration(name: "Test", port: 0, credentials: credentials)
    configuration.openPaths = openPaths
    let window = Window(configuration, logger: logger, handler: handler)
    let group = ServiceGroup(configuration: .init(services: [window], logger: logger))
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        guard await eventually({ window.port != nil }), let port = window.port else {
            throw WindowError(500, "the window does not listen")
        }
        try await use(port)
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
    }
}

private let echo: Window.Handler = { request in
    WindowResponse(200, text: "\(request.method) \(request.path) \(try await request.body(limit: 1000).count)")
}

private func post(_ path: String, length: Int, headers: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\(headers)\r\n"
}

@Suite("The windows' HTTP server")
struct WindowTests {
    @Test("A body that is declared or turns out too long is refused, and the connection ends")
    func bodyLimits() async throws {
        try await serve(nil, echo) { port in
            let declared = try await RawConnection(port: port)
            try await declared.send(post("/", length: 2000) + String(repeating: "x", count: 2000))
            #expect(await eventually { declared.text.hasPrefix("HTTP/1.1 413 ") })
            // A short one is read to its end, so that the client may go on.
            try await declared.send(post("/", length: 3) + "abc")
            #expect(await eventually { declared.text.hasSuffix("POST / 3") })

            let chunked = try await RawConnection(port: port)
            try await chunked.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            try await chunked.send("7D0\r\n" + String(repeating: "x", count: 2000) + "\r\n")
            #expect(await eventually { chunked.text.hasPrefix("HTTP/1.1 413 ") && chunked.isClosed })
            #expect(chunked.text.lowercased().contains("connection: close"))
        }
    }

    @Test("A body that breaks off is an error, not a shorter body")
    func brokenBody() async throws {
        let outcome = Mutex("")
        try await serve(
            nil,
            { request in
                do {
                    let body = try await request.body()
                    outcome.withLock { $0 = "\(body.count) bytes" }
                } catch let error as WindowError {
                    outcome.withLock { $0 = "\(error.status)" }
                }
                return WindowResponse(200)
            }
        ) { port in
            let client = try await RawConnection(port: port)
            try await client.send(post("/", length: 100) + "half")
            await client.close()
            #expect(await eventually { outcome.withLock { $0 } == "400" })
        }
    }

    @Test("A reader that does not read stops the writer; then everything arrives")
    func backPressure() async throws {
        let written = Atomic<Int>(0)
        let size = 64 << 20
        try await serve(
            nil,
            { _ in
                WindowResponse(
                    headers: [("Content-Type", "text/event-stream")],
                    stream: { writer in
                        let piece = [UInt8](repeating: 0x78, count: 64 << 10)
                        while written.load(ordering: .relaxed) < size {
                            try await writer.write(piece)
                            written.add(piece.count, ordering: .relaxed)
                        }
                    })
            }
        ) { port in
            let client = try await RawConnection(port: port, reads: false)
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            var before = -1
            while written.load(ordering: .relaxed) != before {
                before = written.load(ordering: .relaxed)
                try await Task.sleep(for: .milliseconds(150))
            }
            #expect(before < size)
            try await client.startReading()
            #expect(await eventually { client.count > size })
        }
    }

    @Test("A client that goes ends its stream at once, with or without a half-closed connection")
    func disconnect() async throws {
        let ended = Atomic<Int>(0)
        try await serve(
            nil,
            { request in
                _ = try await request.body()
                return WindowResponse(
                    headers: [],
                    stream: { writer in
                        try await writer.write("first")
                        defer { ended.add(1, ordering: .relaxed) }
                        try await Task.sleep(for: .seconds(3600))
                    })
            }
        ) { port in
            let client = try await RawConnection(port: port)
            try await client.send(post("/", length: 4) + "body")
            #expect(await eventually { client.text.contains("first") })
            await client.close()
            #expect(await eventually { ended.load(ordering: .relaxed) == 1 })
        }
    }

    @Test("Stopping the server ends endless streams properly")
    func shutdown() async throws {
        let client = Mutex<RawConnection?>(nil)
        try await serve(
            nil,
            { _ in
                WindowResponse(
                    headers: [],
                    stream: { writer in
                        try await writer.write("first")
                        try await Task.sleep(for: .seconds(3600))
                    })
            }
        ) { port in
            let connection = try await RawConnection(port: port)
            client.withLock { $0 = connection }
            try await connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await eventually { connection.text.contains("first") })
        }
        let connection = try #require(client.withLock { $0 })
        // What was sent before the end may be read a moment after it.
        #expect(await eventually { connection.text.hasSuffix("0\r\n\r\n") })
    }

    @Test("Requests follow each other on a connection, one by one or sent ahead, and keep their order")
    func keepAlive() async throws {
        try await serve(nil, echo) { port in
            let client = try await RawConnection(port: port)
            for _ in 0..<3 {
                try await client.send(post("/a%2Fb", length: 2) + "xx")
                #expect(await eventually { client.text.hasSuffix("POST /a/b 2") })
                _ = client.take()
            }
            try await client.send((0..<20).map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
            #expect(await eventually { client.text.hasSuffix("GET /19 0") })
            let order = client.take().split(separator: "\r\n").filter { $0.contains("GET ") }
            #expect(order.count == 20)
            #expect(zip(order, 0...).allSatisfy { $0.0.hasPrefix("GET /\($0.1) 0") })
            try await client.send("GET http://proxied:80/x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await eventually { client.text.hasSuffix("GET /x 0") })
        }
    }

    @Test("An answer without a body says nothing of its length")
    func noContent() async throws {
        try await serve(nil, { WindowResponse($0.path == "/none" ? 204 : 202) }) { port in
            let client = try await RawConnection(port: port)
            try await client.send("GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await eventually { client.text.hasPrefix("HTTP/1.1 204 ") && client.text.hasSuffix("\r\n\r\n") })
            #expect(!client.take().lowercased().contains("content-length"))
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await eventually { client.text.lowercased().contains("content-length: 0") })
        }
    }

    @Test("A client that asks before it sends its body is told to go on")
    func expectContinue() async throws {
        try await serve(nil, echo) { port in
            let client = try await RawConnection(port: port)
            try await client.send(post("/", length: 2, headers: "Expect: 100-continue\r\n"))
            #expect(await eventually { client.text.hasPrefix("HTTP/1.1 100 ") })
            try await client.send("xx")
            #expect(await eventually { client.text.hasSuffix("POST / 2") })
        }
    }

    @Test("What is no HTTP is refused, and the others are served on")
    func malformed() async throws {
        try await serve(nil, echo) { port in
            for text in [
                "NONSENSE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n",
                "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                "GET / HTTP/1.1\r\nX: \(String(repeating: "x", count: 200_000))\r\n\r\n",
                "GET /\(String(repeating: "x", count: 200_000)) HTTP/1.1\r\nHost: a\r\n\r\n",
            ] {
                let client = try await RawConnection(port: port)
                try? await client.send(text)
                #expect(
                    await eventually { client.isClosed || client.text.hasPrefix("HTTP/1.1 4") },
                    "\(text.prefix(60)): \(client.text.prefix(60))")
                await client.close()
            }
            let client = try await RawConnection(port: port)
            try await client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await eventually { client.text.hasSuffix("GET /ok 0") })
        }
    }

    @Test("1,000 idle connections stand in nobody's way")
    func idle() async throws {
        try await serve(nil, echo) { port in
            var idle: [RawConnection] = []
            for _ in 0..<1000 { idle.append(try await RawConnection(port: port)) }
            let client = try await RawConnection(port: port)
            try await client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await eventually { client.text.hasSuffix("GET /ok 0") })
            #expect(idle.allSatisfy { !$0.isClosed })
            for connection in idle { await connection.close() }
        }
    }

    @Test("Long answers are compressed for clients that take gzip, whole and in pieces")
    func gzip() async throws {
        let text = (0..<2000).map { "\"line \($0)\"" }.joined(separator: ",")
        try await serve(
            nil,
            { request in
                let headers = [("Content-Type", "application/json")]
                if request.path == "/pieces" {
                    return .inPieces(headers: headers) { writer in
                        for start in stride(from: 0, to: text.count, by: 700) {
                            try await writer.write(String(text.dropFirst(start).prefix(700)))
                        }
                    }
                }
                return WindowResponse(
                    200, headers: headers, bytes: Array(request.path == "/short" ? "[]".utf8 : text.utf8))
            }
        ) { port in
            var configuration = HTTPClient.Configuration()
            configuration.decompression = .enabled(limit: .none)
            let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
            do {
                for path in ["/whole", "/pieces"] {
                    let response = try await client.execute(
                        HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)"), timeout: .seconds(120))
                    let body = try await response.body.collect(upTo: 1 << 20)
                    #expect(String(buffer: body) == text)
                    #expect(response.headers["vary"] == ["Accept-Encoding"])
                }
            } catch {
                Issue.record(error)
            }
            try await client.shutdown()
            let raw = try await RawConnection(port: port)
            try await raw.send("GET /whole HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip\r\n\r\n")
            #expect(await eventually { raw.text.lowercased().contains("content-encoding: gzip") })
            let short = try await RawConnection(port: port)
            try await short.send("GET /short HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
            #expect(await eventually { short.text.hasSuffix("[]") })
            // The connection stays usable after pieces.
            let pieces = try await RawConnection(port: port)
            try await pieces.send("GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await eventually { pieces.text.hasSuffix("0\r\n\r\n") })
            try await pieces.send("GET /short HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await eventually { pieces.text.hasSuffix("[]") })
        }
    }
}

@Suite("Who may use a window")
struct WindowCredentialsTests {
    private func credentials() throws -> WindowCredentials {
        try WindowCredentials(
            parsing: #"{"credentials": [{"principal": "ops", "secret": "s:3"}]}"#, realm: "mesos-master")
    }

    @Test("A secret or a token lets a principal in, nothing else does")
    func basic() async throws {
        let credentials = try credentials()
        let handler: Window.Handler = { WindowResponse(200, text: "I am \($0.principal ?? "nobody")") }
        try await serve(credentials, openPaths: ["/login"], handler) { port in
            func ask(_ header: String, _ path: String = "/") async throws -> String {
                let client = try await RawConnection(port: port)
                try await client.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\(header)\r\n")
                _ = await eventually {
                    client.text.contains("\r\n\r\n") && client.text.contains("I am") || client.text.contains("secret")
                }
                await client.close()
                return client.text
            }
            let refused = try await ask("")
            #expect(refused.hasPrefix("HTTP/1.1 401 ") && refused.contains("Basic realm=\"mesos-master\""))
            #expect(try await ask("Authorization: Basic b3BzOnM6Mw==\r\n").hasSuffix("I am ops"))
            #expect(try await ask("Authorization: Basic b3BzOnM6NA==\r\n").hasPrefix("HTTP/1.1 401 "))
            #expect(try await ask("Authorization: token=\(credentials.token(for: "ops"))\r\n").hasSuffix("I am ops"))
            #expect(try await ask("", "/login").hasSuffix("I am nobody"))
            #expect(try await ask("", "/login/x").hasPrefix("HTTP/1.1 401 "))
        }
    }

    @Test("A token is of these credentials, unchanged and not over")
    func tokens() throws {
        let credentials = try credentials()
        let token = credentials.token(for: "ops")
        #expect(credentials.principal(token: token) == "ops")
        #expect(credentials.principal(authorization: "Bearer \(token)") == "ops")
        #expect(credentials.principal(token: credentials.token(for: "ops", seconds: -1)) == nil)
        let others = try WindowCredentials(parsing: "ops other\n", realm: "r")
        #expect(others.principal(token: token) == nil)
        let parts = token.split(separator: ".")
        let forged = others.token(for: "root").split(separator: ".")
        #expect(credentials.principal(token: "\(parts[0]).\(forged[1]).\(parts[2])") == nil)
    }

    @Test("A window whose port is taken ends the process only when it was asked for")
    func takenPort() async throws {
        try await serve(nil) { _ in
            WindowResponse(200, text: "first")
        } _: { port in
            let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
            var configuration = Window.Configuration(name: "Second", port: port)
            await #expect(throws: WindowPortInUse.self) {
                try await Window(configuration, logger: logger) { _ in WindowResponse(204) }.run()
            }
            configuration.isOptional = true
            let second = Window(configuration, logger: logger) { _ in WindowResponse(204) }
            let group = ServiceGroup(configuration: .init(services: [second], logger: logger))
            async let run: Void = group.run()
            #expect(await eventually { second.isLeftOut })
            #expect(second.port == nil)
            await group.triggerGracefulShutdown()
            try await run
        }
    }

    @Test("Without credentials a window stays on loopback")
    func openAddress() throws {
        for address in ["0.0.0.0", "::", "10.0.0.1", "example.org"] {
            #expect(throws: WindowError.self) {
                try Window.Configuration(name: "Test", address: address, port: 0).validate()
            }
        }
        try Window.Configuration(name: "Test", address: "127.0.0.1", port: 0).validate()
        try Window.Configuration(name: "Test", address: "::1", port: 0).validate()
        try Window.Configuration(name: "Test", address: "0.0.0.0", port: 0, credentials: credentials()).validate()
    }
}
