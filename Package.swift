// swift-tools-version: 6.2
// Apus: one binary that turns a pool of machines into one cluster. The targets are the rooms of
// docs/architecture.md; arrows point down only.

import PackageDescription

/// Every target of ours is built with the same settings: Swift 6 mode, explicit import levels.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .treatAllWarnings(as: .error),
]
/// Generated code keeps the language mode and nothing else.
let generated: [SwiftSetting] = [.swiftLanguageMode(.v6)]

let collections: Target.Dependency = .product(name: "OrderedCollections", package: "swift-collections")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket: Target.Dependency = .product(name: "NIOWebSocket", package: "swift-nio")
let nioHTTP2: Target.Dependency = .product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let httpServer: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "_CryptoExtras", package: "swift-crypto")
let yaml: Target.Dependency = .product(name: "Yams", package: "Yams")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let grpcCore: Target.Dependency = .product(name: "GRPCCore", package: "grpc-swift-2")
let grpcTransport: Target.Dependency = .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport")
let grpcProtobuf: Target.Dependency = .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func room(
    _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], embedded: [String] = []
) -> Target {
    .target(
        name: name, dependencies: dependencies, exclude: exclude, resources: embedded.map { .embedInCode($0) },
        swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, swiftSettings: settings)
}

let package = Package(
    name: "apus",
    products: [.executable(name: "apus", targets: ["apus"])],
    dependencies: [
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        .executableTarget(
            name: "apus",
            dependencies: [
                "APIServer", "APIMachinery", "Controllers", "Scheduler", "NodeAgent", "ServiceNetwork", "ClusterDNS",
                "ContainerRuntime", "ProcessShim", "Streaming", "Security", "Store", "Schema", "ClusterClient",
                "ObjectModel", "JSON",
                "HTTPAccess", "LoadGenerator", "Webhooks", "Ledger", "HTTPWindow", "MesosModel", "MesosMaster",
                "Allocator", "MesosAgent", "Marathon", "Metronome", "Chronos",
                "CJemalloc", arguments, lifecycle, log, nioCore, nioPosix, systemPackage, yaml,
            ],
            swiftSettings: settings),

        // The Kubernetes window: HTTP, authentication, discovery, OpenAPI, streaming.
        room(
            "APIServer",
            [
                "APIMachinery", "Streaming", "Security", "ClusterClient", "Schema", "ObjectModel", "JSON",
                nioCore, nioPosix, nioHTTP1, nioHTTP2, nioSSL, nioTLS, nioWebSocket, httpClient, yaml, crypto, x509,
                log,
                lifecycle, "Compression",
            ]),
        // Verbs on kinds without HTTP: storage, watch cache, admission, validation, allocation.
        room(
            "APIMachinery",
            [
                "Store", "Security", "ClusterClient", "CustomResources", "CEL", "Schema", "ObjectModel", "JSON",
                collections, deque, log, lifecycle,
            ]),
        // Admission and conversion webhooks over HTTPS, behind protocols of APIMachinery.
        room(
            "Webhooks",
            ["APIMachinery", "ClusterClient", "ObjectModel", "JSON", httpClient, nioCore, nioPosix, nioSSL, x509, log]),
        // What a CustomResourceDefinition says, as code that runs: schemas, pruning, defaults, validation, rules.
        room("CustomResources", ["CEL", "RegularExpression", "Schema", "ObjectModel", "JSON", collections]),
        // The Common Expression Language in the Kubernetes dialect.
        room("CEL", ["RegularExpression", "ObjectModel", "JSON", collections], exclude: ["README.md"]),
        // RE2's syntax in time linear in the text, for patterns that clients write.
        room("RegularExpression"),
        // The Mesos window: scheduler, operator and agent APIs.
        room(
            "MesosMaster",
            [
                "MesosModel", "Allocator", "Ledger", "HTTPWindow", "ClusterClient", "ObjectModel", "JSON",
                collections, deque, nioCore, log, lifecycle, systemPackage,
            ],
            embedded: ["Page/index.html", "Page/page.css", "Page/page.js"]),
        room(
            "MesosAgent",
            [
                "MesosModel", "HTTPWindow", "ContainerRuntime", "Streaming", "ClusterClient", "ObjectModel", "JSON",
                collections, deque, nioCore, nioPosix, log, lifecycle, systemPackage,
            ]),
        // Marathon's /v2 for long-running apps and pods.
        room(
            "Marathon",
            [
                "MesosModel", "HTTPWindow", "ClusterClient", "RegularExpression", "ObjectModel", "JSON", collections,
                deque, httpClient, nioCore, nioPosix, nioSSL, log, lifecycle,
            ]),
        // Metronome's /v1 for jobs that end, on Jobs and CronJobs.
        room(
            "Metronome",
            [
                "ScheduledJobs", "MesosModel", "HTTPWindow", "ClusterClient", "RegularExpression", "ObjectModel",
                "JSON", log, lifecycle,
            ]),
        // Chronos's jobs by ISO 8601 intervals, on Jobs.
        room(
            "Chronos",
            [
                "ScheduledJobs", "MesosModel", "HTTPWindow", "ClusterClient", "RegularExpression", "ObjectModel",
                "JSON", log, lifecycle,
            ]),
        // What Metronome and Chronos share: definitions whose runs are Jobs.
        room(
            "ScheduledJobs",
            ["MesosModel", "HTTPWindow", "ClusterClient", "ObjectModel", "JSON", log, lifecycle]),
        // Who is offered what: weighted hierarchical dominant resource fairness with quotas.
        room("Allocator", ["MesosModel", "JSON", collections]),
        // Messages, resources and names of Mesos.
        room("MesosModel", ["RegularExpression", "ObjectModel", "JSON", collections, crypto]),
        // Plain HTTP for the windows.
        room(
            "HTTPWindow",
            [
                "Compression", "ObjectModel", "JSON", httpServer, httpTypes, nioCore, nioPosix, crypto, log, lifecycle,
            ]),
        // Gzip for answers.
        room("Compression", ["CZlib", nioCore]),
        room(
            "Scheduler",
            [
                "Ledger", "RegularExpression", "MesosModel", "ClusterClient", "ObjectModel", "JSON", collections, heap,
                log, lifecycle,
            ]),
        room("Controllers", ["ClusterClient", "ObjectModel", "JSON", log, lifecycle], exclude: ["README.md"]),
        room(
            "NodeAgent",
            [
                "ContainerRuntime", "Streaming", "ClusterClient", "ObjectModel", "JSON",
                nioCore, nioPosix, nioSSL, nioHTTP1, httpClient, grpcCore, grpcTransport, collections, log, lifecycle,
                subprocess,
            ]),
        room(
            "ServiceNetwork",
            ["MesosModel", "ClusterClient", "ObjectModel", "JSON", log, lifecycle, subprocess, systemPackage]),
        room(
            "ClusterDNS",
            ["ClusterClient", "HTTPWindow", "MesosModel", "ObjectModel", "JSON", nioCore, nioPosix, log, lifecycle]),
        room("Ledger", ["ObjectModel", "JSON", collections]),
        room(
            "ContainerRuntime",
            [
                "ProcessShim", "WireCRI", "CLinux", "Streaming", "ObjectModel", "JSON", crypto, grpcCore, grpcTransport,
                grpcProtobuf, protobuf,
                log, lifecycle, subprocess, systemPackage, nioCore, nioPosix,
            ]),
        // What supervises one plain program: forked by a small helper process, so it must stay free of threads and NIO.
        room("ProcessShim", ["CLinux", "JSON"]),
        .executableTarget(name: "apus-process-shim", dependencies: ["ProcessShim"], swiftSettings: settings),
        // Channel protocols of exec, attach and port-forward: SPDY/3.1 and WebSocket framing.
        room("Streaming", ["CZlib", "ObjectModel", "JSON", nioCore, nioPosix, nioHTTP1, nioWebSocket, log]),
        room("ClusterClient", ["ObjectModel", "JSON", deque, heap, collections, log, lifecycle]),
        room("Security", ["ObjectModel", "JSON", crypto, cryptoExtras, x509, asn1]),
        room("Store", ["CSQLite", deque, collections, log]),
        room("Schema", ["ObjectModel", "JSON", collections], exclude: ["README.md"]),
        room("ObjectModel", ["JSON", collections]),
        room("JSON", [collections]),

        tests(
            "APIServer",
            [
                "APIMachinery", "Store", "ClusterClient", "Schema", "Security", "Streaming", "ObjectModel", "JSON",
                nioCore, nioPosix, nioHTTP1, nioSSL, httpClient, lifecycle, log,
            ]),
        tests("APIMachinery", ["Store", "ClusterClient", "Schema", "Security", "ObjectModel", "JSON", log]),
        tests("HTTPWindow", ["JSON", httpClient, nioCore, nioPosix, log, lifecycle]),
        tests("MesosModel", ["JSON", "ObjectModel"]),
        tests("Allocator", ["MesosModel", "JSON"]),
        tests(
            "MesosMaster",
            [
                "MesosModel", "Allocator", "APIMachinery", "Store", "Ledger", "HTTPWindow", "ClusterClient",
                "ObjectModel", "JSON", httpClient, nioCore, log, lifecycle,
            ]),
        tests(
            "MesosAgent",
            [
                "MesosModel", "APIMachinery", "Store", "HTTPWindow", "ContainerRuntime", "Streaming", "ClusterClient",
                "ObjectModel", "JSON", httpClient, nioCore, log, lifecycle,
            ]),
        tests(
            "Marathon",
            [
                "MesosModel", "APIMachinery", "Store", "HTTPWindow", "ClusterClient", "ObjectModel", "JSON", httpClient,
                nioCore, log, lifecycle,
            ]),
        tests("Metronome", ["ObjectModel", "JSON"]),
        tests("Chronos", ["ObjectModel", "JSON"]),
        tests("CustomResources", ["CEL", "Schema", "ObjectModel", "JSON"]),
        tests("CEL", ["ObjectModel", "JSON"]),
        tests("RegularExpression"),
        tests(
            "Webhooks",
            [
                "APIMachinery", "Store", "ClusterClient", "Schema", "Security", "ObjectModel", "JSON", nioCore,
                nioPosix, nioHTTP1, nioSSL, log,
            ]),
        tests("Store", ["StoreTorture", log]),
        tests("Security", ["ObjectModel", "JSON", x509, asn1]),
        // The program that the store's kill test kills.
        .executableTarget(
            name: "StoreTorture", dependencies: ["Store", log], path: "Tests/StoreTorture", swiftSettings: settings),
        tests("ServiceNetwork", ["MesosModel", "ObjectModel", "JSON"]),
        tests("ClusterDNS", ["MesosModel", "HTTPWindow", "ObjectModel", "JSON", log, lifecycle]),
        tests("JSON"),
        tests("ObjectModel", ["JSON"]),
        tests("Schema", ["ObjectModel", "JSON"]),
        tests("Ledger", ["ObjectModel"]),
        tests("Scheduler", ["Ledger", "ClusterClient", "ObjectModel", "JSON", log]),
        tests("ClusterClient"),
        tests("Controllers", ["APIMachinery", "Store", "ClusterClient", "ObjectModel", "JSON", log]),

        // A kubeconfig and a lean HTTPS connection, for the commands that speak to a running server.
        room("HTTPAccess", ["ObjectModel", "JSON", nioCore, nioPosix, nioHTTP1, nioSSL, yaml]),
        // Load against any Kubernetes API server: how we compare.
        room("LoadGenerator", ["HTTPAccess", "ObjectModel", "JSON", nioCore, histogram]),

        tests("ContainerRuntime", ["apus-process-shim", "Streaming", "JSON", nioCore, nioEmbedded, log, subprocess]),
        tests("NodeAgent", ["ContainerRuntime", "Streaming", "ObjectModel", "JSON", log]),
        tests("Streaming", ["ObjectModel", "JSON", nioCore, nioPosix, nioWebSocket, log]),

        .target(name: "WireCRI", dependencies: [grpcCore, grpcProtobuf, protobuf], swiftSettings: generated),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CJemalloc", pkgConfig: "jemalloc", providers: [.apt(["libjemalloc-dev"])]),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    ]
)

// APUS_ONLY=Store,StoreTests builds just these targets and what they need: a short edit-test loop for one room.
if let only = Context.environment["APUS_ONLY"] {
    let byName = Dictionary(uniqueKeysWithValues: package.targets.map { ($0.name, $0) })
    var wanted: Set<String> = []
    func want(_ name: String) {
        guard let target = byName[name], wanted.insert(name).inserted else { return }
        for case .byNameItem(let dependency, _) in target.dependencies { want(dependency) }
    }
    for name in only.split(separator: ",") { want(String(name)) }
    package.targets.removeAll { !wanted.contains($0.name) }
    if !wanted.contains("apus") { package.products = [] }
}
