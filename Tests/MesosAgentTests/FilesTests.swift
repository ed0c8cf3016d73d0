import Glibc
import JSON
import MesosModel
import ObjectModel
import Testing

/// Sandboxes over `/files` and the operator API.
@Suite struct FilesTests {
    @Test("Files of a sandbox by every path, and nothing outside it")
    func sandbox() async throws {
        var template = Array("/tmp/apus-agent-XXXXXX".utf8CString)
        let data = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? ""
        }
        try #require(!data.isEmpty)
        defer { removeTree(data) }
        try await TestAgent.run(data: data) { test in
            let task: JSON = [
                "name": "t", "task_id": ["value": "t1"], "agent_id": ["value": "m-S0"], "command": ["value": "true"],
            ]
            let pod = try await test.client.create(
                .pods,
                [
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": [
                        "name": "t1-pod", "namespace": "default", "labels": [MesosNames.frameworkLabel: "m-0000"],
                        "annotations": [MesosNames.taskAnnotation: .string(task.description)],
                    ],
                    "spec": [
                        "nodeName": "n1", "automountServiceAccountToken": false,
                        "containers": [["name": "task", "image": "i"]],
                        "volumes": [["name": "mesos-sandbox", "emptyDir": [:]]],
                    ],
                ])
            let root = "\(data)/pods/\(pod.uid)/volumes/kubernetes.io~empty-dir/mesos-sandbox"
            var path = data
            for part in "\(root)/inner".dropFirst(data.count + 1).split(separator: "/") {
                path += "/\(part)"
                mkdir(path, 0o755)
            }
            write("0123456789", to: "\(root)/inner/file")
            write("secret", to: "\(data)/secret")
            symlink("\(data)/secret", "\(root)/out")
            symlink("inner", "\(root)/in")
            symlink("../../../../..", "\(root)/up")
            try await eventually { (try await test.get("/state")?["frameworks"].elements.count ?? 0) == 1 }

            let state = try await test.get("/slave(1)/state.json")?["frameworks"][0]["executors"][0] ?? .null
            #expect(state["id"] == "t1")
            #expect(state["directory"].string == root)
            #expect(state["queued_tasks"][0]["id"] == "t1")
            let roots = [
                root, "/framework/m-0000/executor/t1/latest",
                "/x/slaves/m-S0/frameworks/m-0000/executors/t1/runs/latest",
                "/x/slaves/m-S0/frameworks/m-0000/executors/t1/runs/\(pod.uid)",
            ]
            for base in roots {
                let read = try await test.get("/files/read?path=\(base)/inner/file&offset=2&length=3")
                #expect(read == ["data": "234", "offset": 2])
                #expect(try await test.get("/files/read?path=\(base)/in/file")?["offset"] == 10)
                for outside in ["out", "up/secret", "inner/../../../../../../secret", "none"] {
                    #expect(try await test.code("/files/read?path=\(base)/\(outside)&offset=0") == 404)
                }
                let names = try await test.get("/files/browse?path=\(base)/inner")?.elements.map { $0["path"].string }
                #expect(names == ["\(base)/inner/file"])
            }
            #expect(try await test.code("/files/read?path=\(data)/secret&offset=0") == 404)
            #expect(try await test.code("/files/read?path=/etc/passwd&offset=0") == 404)

            let call: JSON = [
                "type": "READ_FILE", "read_file": ["path": .string("\(root)/inner/file"), "offset": 8, "length": 9],
            ]
            let answer = try await test.post("/api/v1", call.encoded())
            #expect(
                try JSON.parse(answer.1)["read_file"] == ["size": 10, "data": .string(Base64.encode(Array("89".utf8)))])
        }
    }

    @Test("Every question of the operator API has an answer, or a reason why not")
    func operatorCalls() async throws {
        try await TestAgent.run { test in
            for type in [
                "GET_HEALTH", "GET_FLAGS", "GET_VERSION", "GET_METRICS", "GET_LOGGING_LEVEL", "GET_STATE",
                "GET_CONTAINERS", "GET_FRAMEWORKS", "GET_EXECUTORS", "GET_OPERATIONS", "GET_TASKS", "GET_AGENT",
                "GET_RESOURCE_PROVIDERS",
            ] {
                let (code, text) = try await test.post("/api/v1", JSON(["type": type]).encoded())
                #expect(code == 200, "\(type): \(text)")
                #expect(try JSON.parse(text)["type"].string == type)
            }
            #expect(try await test.post("/api/v1", JSON(["type": "PRUNE_IMAGES"]).encoded()).0 == 501)
            #expect(try await test.post("/api/v1", JSON([:]).encoded()).0 == 400)
            let wait: JSON = ["type": "WAIT_CONTAINER", "wait_container": ["container_id": ["value": "none"]]]
            #expect(try await test.post("/api/v1", wait.encoded()).0 == 404)
            for path in [
                "/flags", "/version", "/metrics/snapshot", "/monitor/statistics", "/containers", "/files/debug",
            ] {
                #expect(try await test.code(path) == 200, "\(path)")
            }
        }
    }

    private func removeTree(_ path: String) {
        if unlink(path) == 0 { return }
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                    String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name != ".", name != ".." { removeTree("\(path)/\(name)") }
            }
            closedir(folder)
        }
        rmdir(path)
    }

    private func write(_ text: String, to path: String) {
        let file = open(path, O_WRONLY | O_CREAT, 0o644)
        _ = text.withCString { Glibc.write(file, $0, text.utf8.count) }
        close(file)
    }
}
