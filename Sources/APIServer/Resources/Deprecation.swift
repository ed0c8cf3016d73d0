import Schema

extension Dispatcher {
    /// The answer with a warning when the version of a custom resource is deprecated.
    func deprecated(_ call: Call, _ answer: Answer) -> Answer {
        let catalog = backend.catalog
        guard let kind = catalog.resource(call.info.gvr)?.kind, let text = catalog.custom(kind)?.deprecationWarning
        else { return answer }
        switch answer {
        case .response(var response):
            addWarnings([text], to: &response)
            return .response(response)
        case .streamed(var response, let body):
            addWarnings([text], to: &response)
            return .streamed(response, body)
        default: return answer
        }
    }
}
