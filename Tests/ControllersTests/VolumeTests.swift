import ClusterClient
import JSON
import ObjectModel
import Testing

@testable import Controllers

@Suite struct VolumeTests {
    private static func volume(
        _ name: String, _ size: String, storageClass: String = "", modes: [String] = ["ReadWriteOnce"],
        phase: String = "Available", claim: JSON = .null, labels: [String: String] = [:]
    ) -> Object {
        var spec: JSON = [
            "capacity": ["storage": .string(size)], "accessModes": JSON(modes), "hostPath": ["path": "/x"],
            "storageClassName": .string(storageClass),
        ]
        if !claim.isNull { spec["claimRef"] = claim }
        return Object([
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": ["name": .string(name), "labels": JSON(labels)], "spec": spec,
            "status": ["phase": .string(phase)],
        ])
    }
    private static func claim(_ name: String, _ size: String, storageClass: String = "", spec more: JSON = [:])
        -> Object
    {
        let spec: JSON = [
            "accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": .string(size)]],
            "storageClassName": .string(storageClass),
        ]
        return Object([
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": ["name": .string(name), "namespace": "default", "uid": .string("uid-\(name)")],
            "spec": spec.mergePatched(with: more),
        ])
    }

    @Test("A claim gets the smallest volume that serves it, or the one kept for it")
    func choice() {
        func best(_ claim: Object, _ volumes: Object..., onlyReserved: Bool = false) -> String? {
            VolumeMatch.best(for: claim, among: volumes, onlyReserved: onlyReserved)?.name
        }
        let small = Self.volume("small", "1Gi")
        let big = Self.volume("big", "10Gi", labels: ["disk": "ssd"])
        let plain = Self.claim("c", "500Mi")
        #expect(best(plain, big, small) == "small")
        #expect(best(Self.claim("c", "2Gi"), big, small) == "big")
        #expect(best(Self.claim("c", "20Gi"), big, small) == nil)
        #expect(best(Self.claim("c", "1Gi", storageClass: "fast"), big, small) == nil)
        #expect(best(Self.claim("c", "1Gi", spec: ["selector": ["matchLabels": ["disk": "ssd"]]]), big, small) == "big")
        #expect(best(Self.claim("c", "1Gi", spec: ["accessModes": ["ReadWriteMany"]]), big, small) == nil)
        #expect(best(Self.claim("c", "1Gi", spec: ["volumeMode": "Block"]), big, small) == nil)
        #expect(best(plain, Self.volume("used", "1Gi", phase: "Released"), big) == "big")
        #expect(best(plain, small, onlyReserved: true) == nil)
        let kept = Self.volume("kept", "5Gi", claim: ["namespace": "default", "name": "c"])
        #expect(best(plain, small, kept) == "kept")
        #expect(best(plain, small, kept, onlyReserved: true) == "kept")
        let others = Self.volume("others", "5Gi", claim: ["namespace": "default", "name": "c", "uid": "old"])
        #expect(best(plain, others) == nil)
    }

    @Test("Claims and volumes find each other, and part again")
    func binding() async throws {
        try await TestCluster.run { cluster in
            @Sendable func phase(_ resource: GroupVersionResource, _ key: ObjectKey) async throws -> String? {
                try await cluster.client.find(resource, key)?.tree["status"]["phase"].string
            }
            let key = ObjectKey(namespace: "default", name: "c")
            let volume = ObjectKey(name: "v")
            try await cluster.client.create(.persistentVolumeClaims, Self.claim("c", "1Gi").tree)
            try await cluster.client.create(.persistentVolumes, Self.volume("v", "2Gi").tree)
            try await cluster.eventually("a bound claim", { try await phase(.persistentVolumeClaims, key) }) {
                $0 == "Bound"
            }
            let bound = try await cluster.find(.persistentVolumeClaims, "c")
            #expect(bound?["spec"]["volumeName"].string == "v")
            #expect(bound?["status"]["capacity"]["storage"].string == "2Gi")
            #expect(try await phase(.persistentVolumes, volume) == "Bound")
            try await cluster.client.delete(.persistentVolumeClaims, key)
            try await cluster.eventually("a released volume", { try await phase(.persistentVolumes, volume) }) {
                $0 == "Released"
            }
            // Its reference cleared, the volume can be had again.
            try await cluster.client.modify(.persistentVolumes, volume) { tree in
                tree["spec"].removeMember("claimRef")
                return true
            }
            try await cluster.eventually("a free volume", { try await phase(.persistentVolumes, volume) }) {
                $0 == "Available"
            }
            var lost = Self.claim("d", "1Gi").tree
            lost["spec"]["volumeName"] = "v"
            try await cluster.client.create(.persistentVolumeClaims, lost)
            let second = ObjectKey(namespace: "default", name: "d")
            try await cluster.eventually("the second claim", { try await phase(.persistentVolumeClaims, second) }) {
                $0 == "Bound"
            }
        }
    }

    @Test("A volume attributes class goes when no claim names it any more")
    func attributesClass() async throws {
        try await TestCluster.run { cluster in
            let resource = GroupVersionResource(
                group: "storage.k8s.io", version: "v1", resource: "volumeattributesclasses")
            for name in ["free", "held"] {
                try await cluster.client.create(
                    resource,
                    [
                        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "driverName": "d",
                        "metadata": ["name": .string(name), "finalizers": ["kubernetes.io/vac-protection"]],
                        "parameters": ["speed": "1"],
                    ])
            }
            var claim = Self.claim("c", "1Gi").tree
            claim["spec"]["volumeAttributesClassName"] = "held"
            try await cluster.client.create(.persistentVolumeClaims, claim)
            for name in ["free", "held"] { try await cluster.client.delete(resource, ObjectKey(name: name)) }
            let held = ObjectKey(name: "held")
            try await cluster.eventually(
                "the free one gone", { try await cluster.client.find(resource, ObjectKey(name: "free")) }
            ) { $0 == nil }
            #expect(try await cluster.client.find(resource, held) != nil)
            try await cluster.client.delete(.persistentVolumeClaims, ObjectKey(namespace: "default", name: "c"))
            try await cluster.eventually("the other gone", { try await cluster.client.find(resource, held) }) {
                $0 == nil
            }
        }
    }

    @Test("What a cron job is to run for")
    func cron() throws {
        func plan(_ schedule: String, last: String, now: String, deadline: Int? = nil) throws -> CronPlan {
            CronPlan(
                try CronSchedule(parsing: schedule), zone: .utc, last: Timestamp(last) ?? .now,
                deadlineSeconds: deadline, now: Timestamp(now) ?? .now)
        }
        let late = try plan("*/5 * * * *", last: "2026-01-01T00:00:00Z", now: "2026-01-01T00:12:00Z")
        #expect(late.due?.rfc3339 == "2026-01-01T00:10:00Z" && late.next?.rfc3339 == "2026-01-01T00:15:00Z")
        #expect(try plan("@hourly", last: "2026-01-01T00:00:00Z", now: "2026-01-01T00:12:00Z").due == nil)
        let long = try plan("* * * * *", last: "2020-01-01T00:00:00Z", now: "2026-01-01T00:00:30Z")
        #expect(long.missedTooMany && long.due?.rfc3339 == "2026-01-01T00:00:00Z")
        let strict = try plan("@daily", last: "2026-01-01T00:00:00Z", now: "2026-01-02T01:00:00Z", deadline: 60)
        #expect(strict.due == nil)
    }
}
