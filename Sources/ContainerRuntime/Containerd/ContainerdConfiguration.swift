import JSON

/// The files that make Debian's containerd ours: `config.toml` (version 2), the CNI list, registry hosts.
enum ContainerdConfiguration {
    /// - Parameters:
    ///   - restrictOOMScore: this process may not lower `oom_score_adj` (no CAP_SYS_RESOURCE), so that runc must not try.
    static func toml(_ settings: ContainerdSettings, pluginDirectory: String, restrictOOMScore: Bool) -> String {
        """
        # Written by apus at every start; changes are lost.
        version = 2
        root = \(quoted(settings.rootDirectory))
        state = \(quoted(settings.stateDirectory))
        disabled_plugins = [
          "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
          "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
          "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
        ]

        [grpc]
          address = \(quoted(settings.ownSocketPath))

        [ttrpc]
          address = \(quoted(settings.ownSocketPath + ".ttrpc"))

        [debug]
          level = "warn"

        [metrics]
          address = ""

        [plugins."io.containerd.grpc.v1.cri"]
          disable_tcp_service = true
          stream_server_address = "127.0.0.1"
          stream_server_port = "0"
          stream_idle_timeout = "4h0m0s"
          enable_tls_streaming = false
          sandbox_image = \(quoted(PauseImage.reference))
          systemd_cgroup = false
          restrict_oom_score_adj = \(restrictOOMScore)
          tolerate_missing_hugetlb_controller = true
          disable_hugetlb_controller = true
          enable_unprivileged_ports = true
          enable_unprivileged_icmp = true
          max_concurrent_downloads = 3

          [plugins."io.containerd.grpc.v1.cri".cni]
            bin_dir = \(quoted(pluginDirectory))
            conf_dir = \(quoted(settings.networkConfigDirectory))
            max_conf_num = 1

          [plugins."io.containerd.grpc.v1.cri".registry]
            config_path = \(quoted(settings.hostsDirectory))

          [plugins."io.containerd.grpc.v1.cri".containerd]
            default_runtime_name = "runc"
            snapshotter = "overlayfs"

            [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
              runtime_type = "io.containerd.runc.v2"

              [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
                SystemdCgroup = false

        """
    }

    /// Pod networking: a point-to-point link per pod, routed by the host (docs/decisions/0003-ptp-instead-of-bridge.md).
    /// Masquerading and host ports belong to the service network's nftables.
    static func networkList(_ settings: ContainerdSettings) -> JSON {
        [
            "cniVersion": "0.4.0",
            "name": JSON.string(settings.networkName),
            "plugins": [
                [
                    "type": "ptp",
                    "ipMasq": false,
                    "ipam": [
                        "type": "host-local",
                        "dataDir": JSON.string(settings.leaseDirectory),
                        "ranges": [[["subnet": JSON.string(settings.podCIDR)]]],
                        "routes": [["dst": "0.0.0.0/0"]],
                    ],
                ]
            ],
        ]
    }

    /// A TOML basic string.
    static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16, uppercase: true)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
