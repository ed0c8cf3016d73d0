import Crypto
import JSON

/// The image of the container that holds a pod's namespaces, made without a registry: our pause program, one layer.
public enum PauseImage {
    /// What containerd is told to use.
    public static let reference = "apus.local/pause:1"

    /// The architecture of this build in OCI's words.
    static var nativeArchitecture: String {
        #if arch(arm64)
            "arm64"
        #else
            "amd64"
        #endif
    }

    /// An OCI image layout in a tar archive, as `ctr images import` takes it. The same input gives the same bytes.
    ///
    /// - Parameter reference: the name that the image gets.
    static func archive(architecture: String = nativeArchitecture, reference: String = reference) -> [UInt8] {
        let program = decodeHexadecimal(architecture == "arm64" ? PauseProgram.aarch64 : PauseProgram.x86_64)
        var layerWriter = TarWriter()
        layerWriter.addFile("pause", mode: 0o755, program)
        let layer = layerWriter.finish()

        let config: JSON = [
            "architecture": JSON.string(architecture),
            "os": "linux",
            "config": ["Entrypoint": ["/pause"], "WorkingDir": "/"],
            "rootfs": ["type": "layers", "diff_ids": [JSON.string(digest(layer))]],
        ]
        let configBytes = config.encoded()
        let manifest: JSON = [
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", configBytes),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        ]
        let manifestBytes = manifest.encoded()
        var entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifestBytes)
        entry["platform"] = ["architecture": JSON.string(architecture), "os": "linux"]
        entry["annotations"] = [
            "io.containerd.image.name": JSON.string(reference),
            "org.opencontainers.image.ref.name": JSON.string(reference),
        ]
        let index: JSON = [
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        ]

        var archive = TarWriter()
        archive.addFile("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
        archive.addFile("index.json", index.encoded())
        for directory in ["blobs/", "blobs/sha256/"] { archive.addDirectory(directory) }
        for blob in [manifestBytes, configBytes, layer] {
            archive.addFile("blobs/sha256/" + digest(blob).dropFirst("sha256:".count), blob)
        }
        return archive.finish()
    }

    /// `sha256:` and 64 hexadecimal digits.
    static func digest(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text = Array("sha256:".utf8)
        for byte in SHA256.hash(data: bytes) {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func descriptor(_ mediaType: String, _ bytes: [UInt8]) -> JSON {
        ["mediaType": JSON.string(mediaType), "digest": JSON.string(digest(bytes)), "size": JSON(bytes.count)]
    }

    private static func decodeHexadecimal(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text {
            guard let value = character.hexDigitValue.map(UInt8.init) else { continue }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return bytes
    }
}
