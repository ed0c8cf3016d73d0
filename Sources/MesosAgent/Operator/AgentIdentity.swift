import JSON
import MesosModel
import ObjectModel

/// Versions and settings as clients of the original expect them.
extension AgentFacts {
    var versionJSON: JSON {
        [
            "version": .string(configuration.version), "build_date": "", "build_time": 0, "build_user": "apus",
            "git_sha": "",
            "git_branch": "", "git_tag": "",
        ]
    }

    /// What the original would have been started with.
    var flags: [(name: String, value: String)] {
        let timeouts = configuration.timeouts
        func seconds(_ duration: Duration) -> String { "\(duration.components.seconds)secs" }
        return [
            ("executor_registration_timeout", seconds(timeouts.registration)),
            ("executor_reregistration_timeout", seconds(timeouts.reregistration)),
            ("executor_shutdown_grace_period", "\(Int(timeouts.shutdownGrace))secs"),
            ("hostname", hostname), ("ip", configuration.address), ("port", String(configuration.port)),
            ("work_dir", configuration.dataDirectory),
        ]
    }
    var flagsJSON: JSON {
        .object(JSONObject(uniqueKeysWithValues: flags.map { ($0.name, .string($0.value)) }))
    }
}
