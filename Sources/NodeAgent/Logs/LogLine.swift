/// One line of a CRI log file: `2026-01-02T03:04:05.123456789Z stdout F text`.
struct LogLine: Sendable, Equatable {
    var time: ArraySlice<UInt8>
    var isError: Bool
    /// The program's line goes on in the next entry.
    var isPartial: Bool
    /// Without the line end.
    var text: ArraySlice<UInt8>

    /// Nil when the bytes (without the line end) are no such line.
    init?(_ line: ArraySlice<UInt8>) {
        let space = UInt8(ascii: " ")
        guard let first = line.firstIndex(of: space) else { return nil }
        let afterTime = line.index(after: first)
        guard let second = line[afterTime...].firstIndex(of: space) else { return nil }
        let stream = line[afterTime..<second]
        if stream.elementsEqual("stdout".utf8) {
            isError = false
        } else if stream.elementsEqual("stderr".utf8) {
            isError = true
        } else {
            return nil
        }
        let afterStream = line.index(after: second)
        let tagEnd = line[afterStream...].firstIndex(of: space) ?? line.endIndex
        guard let tag = line[afterStream..<tagEnd].first else { return nil }
        isPartial = tag == UInt8(ascii: "P")
        time = line[..<first]
        text = tagEnd < line.endIndex ? line[line.index(after: tagEnd)...] : []
    }
}
