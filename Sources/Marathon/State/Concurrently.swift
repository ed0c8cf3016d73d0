/// Runs an operation for every element, so many at a time; the first failure is thrown after those under way ended.
func concurrently<Element: Sendable>(
    _ elements: [Element], width: Int = 16, _ body: @escaping @Sendable (Element) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, element) in elements.enumerated() {
            if index >= width { try await group.next() }
            group.addTask { try await body(element) }
        }
        try await group.waitForAll()
    }
}
