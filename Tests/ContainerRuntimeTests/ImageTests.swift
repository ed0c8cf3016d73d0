import JSON
import Testing

@testable import ContainerRuntime

@Suite struct ImageTests {
    /// The digests are what registries and `kubectl describe node` would show: they change only with the program.
    @Test(arguments: [
        ("amd64", "sha256:4ce7121e099f9b76e52ecef4a37d026bb214cc3d832e613ab17d9161e66a9c76"),
        ("arm64", "sha256:86da47b712ffdd5767fe1ff732294badd5de31b59ac7cc7ad235509168b85355"),
    ])
    func pauseImageIsReproducible(architecture: String, digest: String) {
        let program = PauseImage.program(architecture: architecture)
        #expect(program.prefix(4) == [0x7F, 0x45, 0x4C, 0x46])
        #expect(program.count < 1024)
        #expect(PauseImage.oci(architecture: architecture).manifestDigest == digest)
        #expect(PauseImage.archive(architecture: architecture) == PauseImage.archive(architecture: architecture))
    }

    @Test func tarHeadersAreThoseOfPOSIX() {
        var writer = TarWriter()
        writer.addFile("pause", mode: 0o755, Array("hello".utf8))
        let bytes = writer.finish()
        #expect(bytes.count == 512 + 512 + 1024)
        #expect(String(decoding: bytes[100..<107], as: UTF8.self) == "0000755")
        #expect(String(decoding: bytes[124..<135], as: UTF8.self) == "00000000005")
        #expect(String(decoding: bytes[257..<262], as: UTF8.self) == "ustar")
        let sum = bytes[..<512].enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
        #expect(Int(String(decoding: bytes[148..<154], as: UTF8.self), radix: 8) == sum)
    }

    @Test(arguments: [
        ("nginx:1.25", "docker.io/library/nginx"),
        ("nginx", "docker.io/library/nginx"),
        ("grafana/grafana@sha256:ab", "docker.io/grafana/grafana"),
        ("127.0.0.1:5000/app:v1", "127.0.0.1:5000/app"),
        ("localhost/app", "localhost/app"),
        ("registry.k8s.io/a/b:1", "registry.k8s.io/a/b"),
        ("index.docker.io/library/x", "docker.io/library/x"),
    ])
    func repositories(reference: String, repository: String) {
        #expect(ImageName.repository(reference) == repository)
    }
}

@Suite struct ContainerdConfigurationTests {
    private let settings: ContainerdSettings = {
        var settings = ContainerdSettings(dataDirectory: "/da\"ta\\x", clusterID: "ab12", podCIDR: "10.1.0.0/24")
        settings.pluginDirectories = ["/plugins"]
        return settings
    }()

    @Test func namesCarryTheCluster() {
        let toml = ContainerdConfiguration.toml(settings, pluginDirectory: "/plugins", restrictOOMScore: true)
        #expect(toml.contains(#"root = "/da\"ta\\x/containerd/root""#))
        #expect(toml.contains(#"address = "/run/apus-ab12/containerd.sock""#))
        #expect(toml.contains("restrict_oom_score_adj = true"))
        #expect(toml.contains(#"sandbox_image = "apus.local/pause:1""#))
        #expect(ContainerdConfiguration.quoted("a\nb") == #""a\u000Ab""#)
    }

    @Test func networkIsPointToPoint() {
        let list = ContainerdConfiguration.networkList(settings)
        #expect(list["name"].string == "apus-ab12")
        let plugin = list["plugins"][0]
        #expect(plugin["type"].string == "ptp")
        #expect(plugin["ipMasq"].bool == false)
        #expect(plugin["ipam"]["ranges"][0][0]["subnet"].string == "10.1.0.0/24")
        #expect(plugin["ipam"]["dataDir"].string == "/run/apus-ab12/cni")
    }
}
