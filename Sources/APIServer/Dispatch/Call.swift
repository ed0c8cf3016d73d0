import NIOCore
import NIOHTTP1
import ObjectModel
import Security

/// A request whose sender is known.
struct Call: Sendable {
    let request: Request
    let exchange: Exchange
    let info: RequestInfo
    let user: UserInfo
}

/// What a handler gives back.
enum Answer: Sendable {
    case response(Response)
    /// Head first, then a body written in pieces by the closure.
    case streamed(Response, @Sendable (Exchange) async throws -> Void)
    /// The connection was upgraded and is done.
    case upgraded
    /// The handler answered by itself, with this code.
    case answered(UInt)

    static func text(_ text: String, status: HTTPResponseStatus = .ok) -> Answer {
        .response(Response(status: status, text: text))
    }
    /// What a path that means nothing is answered with.
    static let pageNotFound = Answer.text("404 page not found\n", status: .notFound)
}

extension StatusError {
    /// A resource or subresource that is not served.
    static func unknownResource() -> StatusError {
        StatusError(
            code: 404, reason: .notFound, message: "the server could not find the requested resource")
    }
    /// A method that this path does not have.
    static func methodNotSupported() -> StatusError {
        .methodNotAllowed("the server does not allow this method on the requested resource")
    }
    /// Options that contradict each other or have unknown values: `PatchOptions.meta.k8s.io "" is invalid: …`.
    static func invalidOptions(_ kind: String, _ problems: [FieldError]) -> StatusError {
        StatusError.invalid(GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: kind), name: "", problems)
    }
}
