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
        oci(architecture: architecture, reference: reference).bytes
    }

    static func oci(architecture: String = nativeArchitecture, reference: String = reference) -> OCIArchive {
        OCIArchive(
            reference: reference, architecture: architecture,
            files: [("pause", 0o755, program(architecture: architecture))], entrypoint: ["/pause"])
    }

    /// The static ELF file.
    static func program(architecture: String) -> [UInt8] {
        decodeHexadecimal(architecture == "arm64" ? PauseProgram.aarch64 : PauseProgram.x86_64)
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
