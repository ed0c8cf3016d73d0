import HTTPWindow

/// The page that a browser finds at the master's address: frameworks, agents, tasks, roles and sandboxes, read from the JSON
/// endpoints of the same window.
enum MasterPage {
    static func register(at routes: Routes) {
        add("/", "text/html; charset=utf-8", PackageResources.index_html, to: routes)
        add("/page.css", "text/css; charset=utf-8", PackageResources.page_css, to: routes)
        add("/page.js", "text/javascript; charset=utf-8", PackageResources.page_js, to: routes)
    }

    private static func add(_ path: String, _ type: String, _ bytes: [UInt8], to routes: Routes) {
        let headers = [
            ("Content-Type", type), ("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff"),
            // Nothing from elsewhere runs in it, and it is in nobody's frame.
            (
                "Content-Security-Policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
                    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
        ]
        routes.add(path) { request in
            try LegacyAPI.needs(request, "GET")
            guard request.path == path || request.path == "/master" + path || path == "/" else {
                throw WindowError(404, "there is nothing at \(request.path)")
            }
            return WindowResponse(200, headers: headers, bytes: bytes)
        }
    }
}
