import ObjectModel

/// Client configuration files that kubectl and client libraries read.
public enum Kubeconfig {
    /// A kubeconfig for one user with a client certificate; everything is embedded, no file beside it is needed.
    /// - Parameters:
    ///   - server: URL of the API server, for example `https://127.0.0.1:6443`.
    ///   - ca: certificate of the cluster authority, PEM.
    ///   - certificate: the user's certificate, PEM.
    ///   - key: its private key, PEM.
    ///   - cluster: name of the cluster entry.
    ///   - user: name of the user entry; the context is `USER@CLUSTER`.
    public static func admin(
        server: String, ca: String, certificate: String, key: String, cluster: String = "apus",
        user: String = "kubernetes-admin"
    ) -> String {
        """
        apiVersion: v1
        kind: Config
        clusters:
        - name: \(quoted(cluster))
          cluster:
            server: \(quoted(server))
            certificate-authority-data: \(Base64.encode(Array(ca.utf8)))
        users:
        - name: \(quoted(user))
          user:
            client-certificate-data: \(Base64.encode(Array(certificate.utf8)))
            client-key-data: \(Base64.encode(Array(key.utf8)))
        contexts:
        - name: \(quoted("\(user)@\(cluster)"))
          context:
            cluster: \(quoted(cluster))
            user: \(quoted(user))
        current-context: \(quoted("\(user)@\(cluster)"))
        preferences: {}

        """
    }

    /// A kubeconfig that says where a cluster is and whom to trust, and names no user: `kube-public/cluster-info`.
    public static func clusterInfo(server: String, ca: String) -> String {
        """
        apiVersion: v1
        kind: Config
        clusters:
        - name: ""
          cluster:
            server: \(quoted(server))
            certificate-authority-data: \(Base64.encode(Array(ca.utf8)))
        contexts: []
        current-context: ""
        preferences: {}
        users: []

        """
    }

    /// A YAML double-quoted scalar; its escapes are JSON's.
    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": out += "\\\(scalar)"
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
