import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Security
import Testing

/// Admission policies in CEL and their bindings.
@Suite struct PolicyTests {
    private static let group = "admissionregistration.k8s.io"
    private static let policies = GroupVersionResource(
        group: group, version: "v1", resource: "validatingadmissionpolicies")
    private static let bindings = GroupVersionResource(
        group: group, version: "v1", resource: "validatingadmissionpolicybindings")
    private static let mutations = GroupVersionResource(
        group: group, version: "v1", resource: "mutatingadmissionpolicies")
    private static let mutationBindings = GroupVersionResource(
        group: group, version: "v1", resource: "mutatingadmissionpolicybindings")

    private static func rule(_ group: String, _ resource: String, _ operations: [String] = ["CREATE", "UPDATE"]) -> JSON
    {
        [
            "apiGroups": [.string(group)], "apiVersions": ["v1"], "resources": [.string(resource)],
            "operations": JSON(operations),
        ]
    }

    /// A policy about config maps and its binding, of one name.
    private static func make(
        _ cluster: Cluster, _ name: String, _ spec: JSON, binding: JSON = ["validationActions": ["Deny"]]
    ) async throws {
        var policy: JSON = ["matchConstraints": ["resourceRules": [rule("", "configmaps")]]]
        for (key, value) in spec.members { policy[key] = value }
        try await cluster.create(policies, ["metadata": ["name": .string(name)], "spec": policy])
        var bound = binding
        bound["policyName"] = .string(name)
        try await cluster.create(bindings, ["metadata": ["name": .string(name)], "spec": bound])
    }

    private static func attempt(_ cluster: Cluster, _ name: String, _ data: [String: String] = ["d": ""]) async
        -> String
    {
        await message { try await cluster.create(.configMaps, Fixture.configMap(name, data)) }
    }

    @Test("A validation that is false refuses, in the words of its message")
    func denial() async throws {
        let cluster = try await Cluster()
        try await Self.make(
            cluster, "small",
            [
                "validations": [
                    ["expression": "size(object.data) < 3", "message": "two is enough"],
                    [
                        "expression": "object.metadata.name != 'kept'", "reason": "Forbidden",
                        "messageExpression":
                            "'the name ' + object.metadata.name + ' is kept for ' + request.userInfo.username",
                    ],
                    ["expression": "object.metadata.name != 'plain'"],
                    ["expression": "object.metadata.name != 'broken' || object.data.nothing == ''"],
                ]
            ])
        let start = "ValidatingAdmissionPolicy 'small' with binding 'small' denied request: "
        #expect(
            await Self.attempt(cluster, "a", ["x": "", "y": "", "z": ""])
                == "422 configmaps \"a\" is forbidden: \(start)two is enough")
        #expect(
            await Self.attempt(cluster, "kept")
                == "403 configmaps \"kept\" is forbidden: \(start)the name kept is kept for system:apiserver")
        #expect(
            await Self.attempt(cluster, "plain")
                == "422 configmaps \"plain\" is forbidden: \(start)failed expression: object.metadata.name != 'plain'")
        #expect(
            await Self.attempt(cluster, "broken")
                == "422 configmaps \"broken\" is forbidden: \(start)expression 'object.metadata.name != 'broken' || "
                + "object.data.nothing == ''' resulted in error: no such key: nothing")
        #expect(await Self.attempt(cluster, "b", ["x": "1"]) == "no error")
        #expect(
            await message { try await cluster.patch(.configMaps, "b", ["data": ["y": "", "z": ""]]) }
                == "422 configmaps \"b\" is forbidden: \(start)two is enough")
        try await cluster.delete(Self.bindings, "small")
        #expect(await Self.attempt(cluster, "plain") == "no error")
    }

    @Test("Variables, conditions, old objects, the namespace and warnings")
    func context() async throws {
        let cluster = try await Cluster()
        try await cluster.patch(.namespaces, "default", ["metadata": ["labels": ["team": "red"]]])
        try await Self.make(
            cluster, "v",
            [
                "variables": [
                    ["name": "team", "expression": "namespaceObject.metadata.labels['team']"],
                    ["name": "wanted", "expression": "variables.team + '-' + object.metadata.name"],
                    ["name": "bad", "expression": "object.data.never == 'read'"],
                ],
                "matchConditions": [["name": "has-owner", "expression": "has(object.data.owner)"]],
                "validations": [
                    ["expression": "object.data.owner == variables.wanted", "message": "wrong owner"],
                    ["expression": "oldObject == null || oldObject.data.owner == object.data.owner"],
                ],
                "auditAnnotations": [["key": "owner", "valueExpression": "'it is ' + object.data.owner"]],
            ], binding: ["validationActions": ["Warn", "Audit"]])
        let context = RequestContext.test
        try await cluster.create(.configMaps, Fixture.configMap("free", ["d": ""]), context)
        #expect(context.warnings.isEmpty && context.auditAnnotations.isEmpty)
        try await cluster.create(.configMaps, Fixture.configMap("a", ["owner": "blue"]), context)
        #expect(
            context.warnings == ["Validation failed for ValidatingAdmissionPolicy 'v' with binding 'v': wrong owner"])
        #expect(context.auditAnnotations["v/owner"] == "it is blue")
        #expect(
            context.auditAnnotations["validation.policy.admission.k8s.io/validation_failure"]?.contains(
                "\"expressionIndex\":0") == true)
        let good = RequestContext.test
        try await cluster.create(.configMaps, Fixture.configMap("b", ["owner": "red-b"]), good)
        #expect(good.warnings.isEmpty)
    }

    @Test("Parameters by name and by selector")
    func parameters() async throws {
        let cluster = try await Cluster()
        let spec: JSON = [
            "paramKind": ["apiVersion": "v1", "kind": "Secret"],
            "validations": [
                [
                    "expression": "object.data.word != string(params.metadata.labels['word'])",
                    "message": "not that word",
                ]
            ],
        ]
        try await Self.make(
            cluster, "p", spec,
            binding: [
                "validationActions": ["Deny"],
                "paramRef": ["selector": ["matchLabels": ["list": "words"]], "parameterNotFoundAction": "Allow"],
            ])
        func say(_ name: String, _ word: String) async -> String { await Self.attempt(cluster, name, ["word": word]) }
        #expect(await say("a", "one") == "no error")
        for word in ["one", "two"] {
            try await cluster.create(
                .secrets,
                [
                    "metadata": [
                        "name": .string(word), "namespace": "default",
                        "labels": ["list": "words", "word": .string(word)],
                    ]
                ])
        }
        #expect(await say("b", "one").contains("denied request: not that word"))
        #expect(await say("c", "two").contains("denied request: not that word"))
        #expect(await say("d", "three") == "no error")
        try await Self.make(
            cluster, "q", spec,
            binding: [
                "validationActions": ["Deny"], "paramRef": ["name": "gone", "parameterNotFoundAction": "Deny"],
            ])
        #expect(
            await say("e", "four")
                == "422 configmaps \"e\" is forbidden: ValidatingAdmissionPolicy 'q' with binding 'q' denied request: failed to "
                + "configure binding: no params found for policy binding with `Deny` parameterNotFoundAction")
    }

    @Test("Expressions may ask what the user may do")
    func authorizer() async throws {
        let roles = RBACAuthorizer()
        let cluster = try await Cluster { $0.roles = roles }
        try await Self.make(
            cluster, "auth",
            [
                "validations": [
                    [
                        "expression":
                            "authorizer.group('').resource('nodes').check('delete').allowed() || authorizer.requestResource.check('shout').allowed()",
                        "message": "ask an administrator",
                    ]
                ]
            ])
        func create(_ name: String, _ user: UserInfo) async -> String {
            await message {
                try await cluster.create(.configMaps, Fixture.configMap(name), RequestContext(user: user))
            }
        }
        #expect(await create("a", .system) == "no error")
        #expect(await create("b", UserInfo(name: "jane")).contains("ask an administrator"))
    }

    @Test("Policies that make no sense are refused when they are written")
    func problems() async throws {
        let cluster = try await Cluster()
        func problem(_ spec: JSON) async -> String {
            var policy: JSON = ["matchConstraints": ["resourceRules": [Self.rule("", "configmaps")]]]
            for (key, value) in spec.members { policy.setMember(key, value) }
            let body: JSON = ["metadata": ["name": "p"], "spec": policy]
            let text = await message { try await cluster.create(Self.policies, body) }
            return text.replacing(
                "422 ValidatingAdmissionPolicy.admissionregistration.k8s.io \"p\" is invalid: ", with: "")
        }
        #expect(
            await problem(["validations": [["expression": "object.x +"]]]).hasPrefix(
                "spec.validations[0].expression: Invalid value: \"object.x +\": compilation failed: ERROR: <input>:1:"))
        #expect(await problem(["validations": [["expression": "'text'"]]]).contains("must evaluate to bool"))
        #expect(
            await problem(["validations": [["expression": "params.x == 1"]]]).contains(
                "undeclared reference to 'params'"))
        #expect(
            await problem(["matchConstraints": nil, "validations": [["expression": "true"]]])
                == "spec.matchConstraints: Required value")
        #expect(await problem([:]).contains("validations or auditAnnotations must contain at least one item"))
        #expect(
            await message {
                try await cluster.create(
                    Self.bindings,
                    ["metadata": ["name": "b"], "spec": ["policyName": "p", "validationActions": ["Deny", "Warn"]]])
            }.contains("must not contain both Deny and Warn"))
    }

    @Test("Mutating policies apply configurations and patches")
    func mutation() async throws {
        let cluster = try await Cluster()
        try await cluster.create(
            Self.mutations,
            [
                "metadata": ["name": "m"],
                "spec": [
                    "reinvocationPolicy": "Never",
                    "matchConstraints": ["resourceRules": [Self.rule("apps", "deployments", ["CREATE"])]],
                    "matchConditions": [["name": "not-plain", "expression": "object.metadata.name != 'plain'"]],
                    "mutations": [
                        [
                            "patchType": "ApplyConfiguration",
                            "applyConfiguration": [
                                "expression": """
                                Object{metadata: Object.metadata{labels: {"set": "yes"}}, spec: Object.spec{
                                  template: Object.spec.template{spec: Object.spec.template.spec{
                                    containers: [Object.spec.template.spec.containers{
                                      name: "main", imagePullPolicy: "Never"}]}}}}
                                """
                            ],
                        ],
                        [
                            "patchType": "JSONPatch",
                            "jsonPatch": [
                                "expression":
                                    "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: object.metadata.labels.set}]"
                            ],
                        ],
                    ],
                ],
            ])
        try await cluster.create(Self.mutationBindings, ["metadata": ["name": "m"], "spec": ["policyName": "m"]])
        let made = try await cluster.create(.deployments, Fixture.deployment("web")).tree
        #expect(made["metadata"]["labels"].stringMap == ["set": "yes", "a/b": "yes"])
        let container = made["spec"]["template"]["spec"]["containers"][0]
        #expect(container["imagePullPolicy"].string == "Never" && container["image"].string == "busybox")
        let plain = try await cluster.create(.deployments, Fixture.deployment("plain")).tree
        #expect(plain["metadata"]["labels"].isNull)
    }

    @Test("The types that a policy gets wrong are told in its status")
    func typeCheck() async throws {
        let cluster = try await Cluster()
        let running = Task { try await cluster.machinery.run() }
        defer { running.cancel() }
        try await cluster.create(
            Self.policies,
            [
                "metadata": ["name": "t"],
                "spec": [
                    "matchConstraints": ["resourceRules": [Self.rule("apps", "deployments")]],
                    "validations": [
                        ["expression": "object.spec.replicas > 1"], ["expression": "object.spec.replicas == 'one'"],
                        ["expression": "object.spec.foo.bar == 1"],
                    ],
                ],
            ])
        var status: JSON = .null
        for _ in 0..<500 where status["typeChecking"].isNull {
            try await Task.sleep(for: .milliseconds(10))
            status = try await cluster.get(Self.policies, "t").tree["status"]
        }
        #expect(status["observedGeneration"].int == 1)
        let warnings = status["typeChecking"]["expressionWarnings"].elements
        #expect(
            warnings.compactMap { $0["fieldRef"].string } == [
                "spec.validations[1].expression", "spec.validations[2].expression",
            ])
        #expect(
            warnings.last?["warning"].string?.hasPrefix(
                "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'foo'") == true)
    }
}
