import WireCRI

extension CRIRuntime {
    public func image(_ reference: String) async throws(RuntimeError) -> ImageStatus? {
        let response = try await call("ImageStatus", within: CallTimeout.lookup) { options in
            try await imageService.imageStatus(.with { $0.image.image = reference }, options: options)
        }
        return response.hasImage && !response.image.id.isEmpty ? ImageStatus(response.image) : nil
    }

    public func images() async throws(RuntimeError) -> [ImageStatus] {
        let response = try await call("ListImages", within: CallTimeout.lookup) { options in
            try await imageService.listImages(Runtime_V1_ListImagesRequest(), options: options)
        }
        return response.images.map { ImageStatus($0) }
    }

    public func pullImage(_ reference: String, credentials: RegistryCredentials?)
        async throws(RuntimeError) -> String
    {
        var request = Runtime_V1_PullImageRequest()
        request.image.image = reference
        if let credentials {
            request.auth = .with {
                $0.username = credentials.username
                $0.password = credentials.password
                $0.identityToken = credentials.identityToken
            }
        }
        let message = request
        let pulled = try await call("PullImage", within: CallTimeout.pull) { options in
            try await imageService.pullImage(message, options: options).imageRef
        }
        // containerd answers with the image's id; what the user wants to see is the repository and its digest.
        guard let status = try await image(pulled) else { return pulled }
        let repository = ImageName.repository(reference)
        return status.digests.first { $0.prefix { $0 != "@" } == repository } ?? status.digests.first ?? pulled
    }

    public func removeImage(_ reference: String) async throws(RuntimeError) {
        _ = try await call("RemoveImage", within: CallTimeout.change) { options in
            try await imageService.removeImage(.with { $0.image.image = reference }, options: options)
        }
    }

    public func imageFilesystem() async throws(RuntimeError) -> FilesystemUsage {
        let response = try await call("ImageFsInfo", within: CallTimeout.lookup) { options in
            try await imageService.imageFsInfo(Runtime_V1_ImageFsInfoRequest(), options: options)
        }
        guard let first = response.imageFilesystems.first else {
            throw RuntimeError(.other, operation: "ImageFsInfo", "the runtime names no image filesystem")
        }
        return FilesystemUsage(
            path: first.fsID.mountpoint, usedBytes: first.usedBytes.value, usedInodes: first.inodesUsed.value)
    }
}

extension ImageStatus {
    init(_ wire: Runtime_V1_Image) {
        self.init(
            id: wire.id, tags: wire.repoTags, digests: wire.repoDigests, sizeBytes: wire.size,
            userID: wire.hasUid ? wire.uid.value : nil, username: wire.username)
        // containerd before 1.7 does not tell that an image is pinned.
        isPinned = wire.pinned || wire.repoTags.contains(PauseImage.reference)
    }
}

/// Names of images as users write them.
enum ImageName {
    /// The full repository of a reference: `nginx:1` is `docker.io/library/nginx`, `reg:5000/a/b@sha256:…` is
    /// `reg:5000/a/b`.
    static func repository(_ reference: String) -> String {
        var name = reference.prefix { $0 != "@" }
        let lastPart = name.lastIndex(of: "/").map { name.index(after: $0) } ?? name.startIndex
        if let colon = name[lastPart...].firstIndex(of: ":") { name = name[..<colon] }
        guard let slash = name.firstIndex(of: "/") else { return "docker.io/library/\(name)" }
        let first = name[..<slash]
        let isRegistry = first.contains(".") || first.contains(":") || first == "localhost"
        if !isRegistry { return "docker.io/\(name)" }
        if first == "index.docker.io" { return "docker.io\(name[slash...])" }
        return String(name)
    }
}
