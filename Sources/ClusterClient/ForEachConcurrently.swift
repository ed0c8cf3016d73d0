/// Runs operations at most `width` at a time; after a failure no more are begun, and the first is thrown when those
/// under way ended. They are not cancelled: what they write is done all the same, and has to be remembered.
public func forEachConcurrently<Element: Sendable>(
    _ elements: [Element], width: Int = 16, _ body: @escaping @Sendable (Element) async throws -> Void
) async throws {
    let failure: (any Error)? = await withTaskGroup(of: Result<Void, any Error>.self) { group in
        func add(_ element: Element) {
            group.addTask {
                do {
                    return .success(try await body(element))
                } catch {
                    return .failure(error)
                }
            }
        }
        var rest = elements.makeIterator()
        for _ in 0..<width {
            guard let element = rest.next() else { break }
            add(element)
        }
        var failure: (any Error)?
        for await result in group {
            if case .failure(let error) = result { failure = failure ?? error }
            if failure == nil, let element = rest.next() { add(element) }
        }
        return failure
    }
    if let failure { throw failure }
}
