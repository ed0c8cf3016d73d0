import HTTPWindow
import JSON

/// `/files/browse`, `/read`, `/download` and `/debug`.
struct FilesEndpoints: Sendable {
    let files: SandboxFiles
    let caches: AgentCaches

    func handle(_ request: WindowRequest, _ name: String) async throws -> WindowResponse {
        if name == "debug" { return WindowResponse(json: debug) }
        guard let path = request.parameter("path"), !path.isEmpty else {
            throw WindowError(400, "Expecting 'path=value' in query.")
        }
        switch name {
        case "browse":
            let entries = try await files.browse(path)
            return WindowResponse(json: .array(entries.map(Self.json)))
        case "read": return try await read(request, path)
        case "download": return try await download(path)
        default: throw WindowError(404, "there is no \(request.path) here")
        }
    }

    static func json(_ entry: SandboxFile.Entry) -> JSON {
        [
            "path": .string(entry.name), "nlink": JSON(entry.links), "size": JSON(entry.size),
            "mtime": .double(Double(entry.modified / 1_000_000_000)), "mode": .string(entry.modeText),
            "uid": .string(entry.user), "gid": .string(entry.group),
        ]
    }

    private func read(_ request: WindowRequest, _ path: String) async throws -> WindowResponse {
        func number(_ name: String) throws -> Int? {
            guard let text = request.parameter(name), !text.isEmpty else { return nil }
            guard let number = Int(text) else { throw WindowError(400, "Failed to parse \(name): '\(text)'") }
            return number
        }
        var offset = try number("offset")
        if offset == -1 { offset = nil }
        if let offset, offset < 0 { throw WindowError(400, "Negative offset provided: \(offset)") }
        var length = try number("length") ?? SandboxFiles.maximumRead
        if length == -1 { length = SandboxFiles.maximumRead }
        if length < 0 { throw WindowError(400, "Negative length provided: \(length)") }
        let (data, size) = try await files.read(path, offset: offset, length: min(length, SandboxFiles.maximumRead))
        return WindowResponse(
            json: ["data": .string(String(decoding: data, as: UTF8.self)), "offset": JSON(offset ?? size)])
    }

    private func download(_ path: String) async throws -> WindowResponse {
        let size = try await files.read(path, offset: nil, length: 0).size
        let name = path.split(separator: "/").last.map(String.init) ?? "file"
        let safe = name.filter { $0 != "\"" && $0 != "\\" && !$0.isNewline }
        return WindowResponse.inPieces(
            headers: [
                ("Content-Type", "application/octet-stream"),
                ("Content-Disposition", "attachment; filename=\"\(safe)\""),
            ]
        ) { [files] writer in
            var offset = 0
            while offset < size {
                let data = try await files.read(path, offset: offset, length: min(1 << 20, size - offset)).data
                if data.isEmpty { break }
                try await writer.write(data)
                offset += data.count
            }
        }
    }

    /// Virtual paths and what they stand for.
    private var debug: JSON {
        var tree: JSON = [:]
        for pod in caches.pods.all {
            guard let framework = pod.frameworkID, let executor = pod.executorID else { continue }
            tree["/framework/\(framework)/executor/\(executor)/latest"] = .string(files.paths.directory(of: pod))
        }
        return tree
    }
}
