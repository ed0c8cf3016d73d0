public import JSON
import NIOCore

/// Manifests in files, read with the same limits and rules as request bodies.
public enum Manifest {
    /// The first document of a YAML (or JSON) text.
    /// - Throws: an error that says what is wrong with the text.
    public static func parse(_ text: String) throws -> JSON {
        try YAML.parse(ByteBuffer(string: text))
    }
}
