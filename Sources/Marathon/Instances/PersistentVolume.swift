import HTTPWindow
import JSON
import MesosModel
import ObjectModel

/// The identity under which an instance is started: a new one, or that of volumes which wait for it.
struct Place: Sendable, Hashable {
    var uuid: String
    /// 1 for the first start.
    var attempt = 1
}

/// A volume of an instance that outlives it: a claim of the cluster, so that the instance comes back where its data is.
struct PersistentVolume: Sendable, Hashable {
    /// Its place among all volumes of the definition.
    var index: Int
    /// Path in the sandbox, or the name of a pod's volume.
    var path: String
    /// MiB.
    var size: Int

    static func claimName(uuid: String, _ index: Int) -> String { "marathon-\(uuid)-\(index)" }

    func claim(_ spec: RunSpec, _ place: Place) -> JSON {
        [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": [
                "name": .string(Self.claimName(uuid: place.uuid, index)),
                "namespace": .string(MesosNames.namespace(ofRole: spec.role)),
                "labels": [
                    MesosNames.marathonAppLabel: .string(MesosNames.labelValue(ofApp: spec.id.text)),
                    MesosNames.marathonInstanceLabel: .string(place.uuid),
                ],
                "annotations": [
                    MarathonNames.specAnnotation: .string(spec.id.text),
                    MarathonNames.attemptAnnotation: .string(String(place.attempt)),
                ],
            ],
            "spec": [
                "accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": .string("\(size)Mi")]],
            ],
        ]
    }
}

extension RunSpec {
    var persistentVolumes: [PersistentVolume] {
        let volumes = kind == .app ? container["volumes"].elements : json["volumes"].elements
        return volumes.enumerated().compactMap { index, volume in
            guard !volume["persistent"].isNull else { return nil }
            return PersistentVolume(
                index: index, path: volume[kind == .app ? "containerPath" : "name"].string ?? "",
                size: volume["persistent"]["size"].int ?? 1)
        }
    }

    /// `localVolumes` of the tasks of an instance.
    func localVolumes(uuid: String) -> [JSON] {
        persistentVolumes.map { volume in
            [
                "runSpecId": .string(id.text), "containerPath": .string(volume.path), "uuid": .string(uuid),
                "persistenceId": .string("\(id.underscored)#\(volume.path)#\(uuid)"),
            ]
        }
    }

    /// What an update may not change while instances have data.
    /// - Throws: `MarathonError` 422.
    func checkResidentUpdate(to new: RunSpec) throws(MarathonError) {
        guard isResident else { return }
        var violations: [Violation] = []
        func same(_ member: (RunSpec) -> JSON, _ message: String) {
            if member(self) != member(new) { violations.append(Violation(path: "/", message: message)) }
        }
        same(
            { spec in
                .array(
                    (spec.kind == .app ? spec.container["volumes"] : spec.json["volumes"]).elements.filter {
                        !$0["persistent"].isNull
                    })
            }, "Persistent volumes can not be changed!")
        same(
            { spec in
                guard spec.kind == .app else {
                    return .array(spec.json["containers"].elements.map { $0["resources"] })
                }
                return .array(["cpus", "mem", "disk", "gpus"].map { spec.json[$0] })
            }, "Resident Tasks may not change resource requirements!")
        same(
            { spec in
                .array(spec.ports.map { $0[spec.isHostNetwork ? "port" : "hostPort"] })
            }, "Resident Tasks may not change host ports!")
        if !violations.isEmpty { throw .invalid(violations) }
    }
}

/// A claim as Marathon looks at it.
final class VolumeClaim: Sendable {
    let key: ObjectKey
    let uid: String
    let spec: PathID
    /// Of the instance that it belongs to.
    let uuid: String
    let attempt: Int
    let isTerminating: Bool
    let createdAt: Timestamp

    init(_ object: Object) {
        key = object.key
        uid = object.uid
        let annotations = object.tree["metadata"]["annotations"]
        spec = PathID(annotations[MarathonNames.specAnnotation].string ?? "")
        uuid = object.metadata.labels[MesosNames.marathonInstanceLabel] ?? ""
        attempt = annotations[MarathonNames.attemptAnnotation].string.flatMap { Int32($0) }.map(Int.init) ?? 1
        isTerminating = object.metadata.isTerminating
        createdAt = object.metadata.creationTimestamp ?? .now
    }
}
