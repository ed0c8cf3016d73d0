import HTTPAccess
import JSON
import NIOCore

/// Creates apps through Marathon's API, lists them, and sees how long a large one takes until all of it runs.
public struct MarathonLoad: Sendable {
    /// Reaches Marathon.
    public var rig: LoadRig
    /// Apps without instances, in groups of a hundred.
    public var apps: Int
    /// Instances of the large app; the cluster must have room for them. 0 leaves it out.
    public var instances: Int
    /// Lists of all apps.
    public var lists: Int

    /// The group that holds everything; it is removed at the end.
    private static let group = "/apus-bench"

    public init(rig: LoadRig, apps: Int, instances: Int, lists: Int) {
        self.rig = rig
        self.apps = apps
        self.instances = instances
        self.lists = lists
    }

    /// - Parameter report: gets `create`, `list`, `list tasks`, `get`, and `large app`, whose one latency is the time from its
    ///   creation until its deployment is done.
    public func run(report: @Sendable (Measurement) -> Void) async throws {
        let head = RequestHead(rig.access)
        let tls = try HTTPConnection.context(rig.access)
        let control = try await HTTPConnection.open(rig.access, tls: tls)
        var channels: [LoadChannel] = []
        for _ in 0..<rig.clients { channels.append(try await LoadChannel.open(rig.access, tls: tls)) }
        if instances > 0 { report(try await large(control)) }
        if apps > 0 {
            report(
                try await rig.phase("create", channels, total: apps) { index, buffer in
                    let app =
                        #"{"id":"\#(Self.group)/g\#(index / 100)/a\#(index)","cmd":"sleep 1000","cpus":0.1,"mem":16,"#
                        + #""instances":0,"labels":{"part":"\#(index % 100)"}}"#
                    head.write("POST", "/v2/apps", body: app, into: &buffer)
                })
            for (name, path) in [
                ("list", "/v2/apps"), ("list tasks", "/v2/apps?embed=apps.tasks"),
                ("list by label", "/v2/apps?label=part%3D%3D7"), ("get", "/v2/apps\(Self.group)/g0/a0"),
            ] {
                report(
                    try await rig.phase(name, Array(channels.prefix(1)), total: lists) { _, buffer in
                        head.write("GET", path, into: &buffer)
                    })
            }
            for index in 0...((apps - 1) / 100) {
                rig.progress("remove group \(index)")
                try await control.require("DELETE", "/v2/groups\(Self.group)/g\(index)?force=true")
            }
        }
        _ = try await control.send("DELETE", "/v2/groups\(Self.group)?force=true").get()
        for channel in channels { await channel.close() }
        await control.close()
    }

    private func large(_ control: HTTPConnection) async throws -> Measurement {
        let id = "\(Self.group)/large"
        let app: JSON = [
            "id": .string(id), "cmd": "sleep 1000", "cpus": .number(JSONNumber(text: "0.01")), "mem": 1,
            "instances": JSON(instances),
            "healthChecks": [["protocol": "MESOS_TCP", "portIndex": 0]],
        ]
        let clock = ContinuousClock()
        let start = clock.now
        var measurement = Measurement(name: "large app")
        try await control.require("POST", "/v2/apps", app.description)
        while clock.now - start < .seconds(300) {
            let now = try await control.require("GET", "/v2/apps\(id)?embed=app.counts")["app"]
            rig.progress("large app: \(now["tasksHealthy"].int ?? 0) of \(instances) healthy")
            if now["deployments"].elements.isEmpty, now["tasksHealthy"].int == instances { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        measurement.elapsed = clock.now - start
        measurement.record(nanoseconds: Int64(measurement.elapsed.inSeconds * 1e9))
        try await control.require("DELETE", "/v2/apps\(id)?force=true")
        while clock.now - start < .seconds(600) {
            if try await control.require("GET", "/v2/deployments").elements.isEmpty { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        return measurement
    }
}
