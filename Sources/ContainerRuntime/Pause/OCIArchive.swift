import Crypto
import JSON

/// Composes an image of one layer as an OCI image layout in a tar archive.
struct OCIArchive {
    /// The whole archive.
    let bytes: [UInt8]
    /// `sha256:…` of the manifest, which is what registries call the image's digest.
    let manifestDigest: String

    /// - Parameters:
    ///   - reference: full name of the image, `registry/repository:tag`.
    ///   - files: paths without leading slash, permissions, contents.
    init(
        reference: String, architecture: String, files: [(path: String, mode: Int, content: [UInt8])],
        entrypoint: [String]
    ) {
        var layerWriter = TarWriter()
        for file in files { layerWriter.addFile(file.path, mode: file.mode, file.content) }
        let layer = layerWriter.finish()
        let config: JSON = [
            "architecture": JSON.string(architecture),
            "os": "linux",
            "config": ["Entrypoint": JSON(entrypoint), "WorkingDir": "/"],
            "rootfs": ["type": "layers", "diff_ids": [JSON.string(Self.digest(layer))]],
        ]
        let configBytes = config.encoded()
        let manifest: JSON = [
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": Self.descriptor("application/vnd.oci.image.config.v1+json", configBytes),
            "layers": [Self.descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        ]
        let manifestBytes = manifest.encoded()
        var entry = Self.descriptor("application/vnd.oci.image.manifest.v1+json", manifestBytes)
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
            archive.addFile("blobs/sha256/" + Self.digest(blob).dropFirst("sha256:".count), blob)
        }
        bytes = archive.finish()
        manifestDigest = Self.digest(manifestBytes)
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
}
