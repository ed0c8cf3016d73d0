import NIOHTTP1
import ObjectModel
import Testing

@testable import APIServer

@Suite struct ProxyTests {
    @Test func names() throws {
        #expect(try ProxyName("web") == ProxyName("http:web:"))
        let full = try ProxyName("https:web:metrics")
        #expect(full.isTLS && full.name == "web" && full.port == "metrics")
        #expect(try ProxyName("web:80").port == "80")
        for bad in ["", ":80", "ftp:web:80", "a:b:c:d"] { #expect(throws: StatusError.self) { try ProxyName(bad) } }
    }

    @Test(
        "The program sees its part of the path as the client wrote it",
        arguments: [
            ("/api/v1/namespaces/n/pods/p/proxy", "", "/api/v1/namespaces/n/pods/p/proxy"),
            ("/api/v1/namespaces/n/pods/p/proxy/", "/", "/api/v1/namespaces/n/pods/p/proxy"),
            ("/api/v1/namespaces/n/pods/p/proxy/a%2Fb//c/", "/a%2Fb//c/", "/api/v1/namespaces/n/pods/p/proxy"),
            ("//api/v1/namespaces/n/pods/p/proxy//x", "//x", "//api/v1/namespaces/n/pods/p/proxy"),
        ])
    func places(path: String, inner: String, prefix: String) {
        let place = ProxyPlace(path: path, segments: 7, query: "")
        #expect(place.path == inner && place.prefix == prefix)
    }

    @Test func locations() {
        let place = ProxyPlace(path: "/p/proxy/x", segments: 2, query: "")
        let hosts = ["10.0.0.1:80", "10.0.0.1"]
        for (link, expected) in [
            ("/there?q", "/p/proxy/there?q"), ("there", "there"), ("http://10.0.0.1:80/a", "/p/proxy/a"),
            ("//10.0.0.1/a", "/p/proxy/a"), ("https://example.com/a", "https://example.com/a"),
            ("http://10.0.0.1:80", "/p/proxy/"), ("/p/proxy/a", "/p/proxy/a"),
        ] {
            #expect(place.rewritten(link, hosts: hosts) == expected)
        }
    }

    @Test func linksOfPages() {
        let page =
            #"<a href="/rewriteme">t</a> <IMG SRC=/x.png><a href='//cdn/x'><a href="rel"> href="/text" <a data-href="/no">"#
        let expected =
            #"<a href="/p/rewriteme">t</a> <IMG SRC=/p/x.png><a href='//cdn/x'><a href="rel"> href="/text" <a data-href="/no">"#
        #expect(String(decoding: HTMLLinks.prefixed(Array(page.utf8), "/p"), as: UTF8.self) == expected)
    }

    @Test func hopsEnd() {
        let headers: HTTPHeaders = [
            "Connection": "close, X-Mine", "X-Mine": "1", "Keep-Alive": "5", "TE": "trailers", "X-Other": "2",
        ]
        #expect(ProxyHeaders.withoutHops(headers).map(\.name) == ["X-Other"])
    }
}
