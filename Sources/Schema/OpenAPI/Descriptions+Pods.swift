extension DescriptionTables {
    /// Pods, containers and volumes.
    static let pods: StaticString = #"""
        core.v1.Pod A group of containers that run together on one node and share a network address and volumes.
         spec The containers and how they are to run.
         status Where the pod runs and what its containers do.
        core.v1.PodSpec What a pod consists of and what it needs.
         containers The containers; at least one. The list cannot grow or shrink later.
         initContainers Containers that run to completion one after the other before the others start; with restartPolicy Always they stay as sidecars.
         ephemeralContainers Containers added for debugging while the pod runs.
         volumes Volumes that the containers may mount.
         restartPolicy When containers that end are started again: Always, OnFailure or Never.
         terminationGracePeriodSeconds Seconds between the polite and the hard signal when the pod is deleted; 30 unless given.
         activeDeadlineSeconds Seconds after which the pod is ended and counts as failed.
         dnsPolicy How names are resolved: ClusterFirst, ClusterFirstWithHostNet, Default or None.
         dnsConfig Name servers, search domains and options beside those of dnsPolicy.
         nodeSelector Labels that a node must have to run this pod.
         nodeName The node that the pod runs on; normally set by the scheduler.
         serviceAccountName Name of the ServiceAccount that the pod runs as.
         serviceAccount Old name of serviceAccountName.
         automountServiceAccountToken Whether the service account's token is mounted into the containers.
         hostNetwork Use the node's network instead of an own one.
         hostPID Share the node's process ids.
         hostIPC Share the node's inter-process communication.
         shareProcessNamespace Let all containers see each other's processes.
         securityContext User, groups and other security settings for all containers.
         imagePullSecrets Secrets with the credentials of image registries.
         hostname The pod's host name; its own name unless given.
         subdomain Makes the host's full name hostname.subdomain.namespace.svc.domain.
         affinity Rules that draw the pod to nodes and pods, or keep it away.
         tolerations Taints of nodes that the pod puts up with.
         schedulerName The scheduler that places the pod.
         priorityClassName Name of the PriorityClass that says how important the pod is.
         priority The priority as a number; filled in from the class.
         preemptionPolicy Whether the pod may displace less important ones: PreemptLowerPriority or Never.
         hostAliases Lines added to the containers' hosts file.
         readinessGates Conditions that must hold, beside ready containers, for the pod to be ready.
         runtimeClassName Name of the RuntimeClass that runs the pod.
         enableServiceLinks Whether addresses of services are put into the environment.
         topologySpreadConstraints How pods are to be spread over zones, nodes and the like.
         schedulingGates The pod is not scheduled until this list is empty.
         overhead Resources that running the pod costs on top; set from the RuntimeClass.
         os The operating system that the pod needs.
         resources Requests and limits for the pod as a whole.
        core.v1.PodTemplateSpec How new pods are to look.
         metadata Labels and annotations of the new pods.
         spec What the new pods consist of.
        core.v1.Container A program in an image, run within a pod.
         name Name, unique in the pod. It cannot be changed.
         image The image to run, for example registry.example/app:1.2.
         imagePullPolicy When the image is pulled: Always, IfNotPresent or Never. Always for the tag latest, else IfNotPresent.
         command The program to run instead of the image's entry point; it is not run by a shell.
         args Arguments instead of the image's.
         workingDir The directory to start in.
         ports Ports that the container listens on, for information.
         env Environment variables.
         envFrom Sources whose every entry becomes an environment variable.
         resources What the container asks for and what it may use at most.
         resizePolicy Whether a change of resources restarts the container.
         restartPolicy Always makes an init container a sidecar.
         volumeMounts Where volumes appear in the container's file system.
         volumeDevices Where block devices appear in the container.
         livenessProbe A check that restarts the container when it fails.
         readinessProbe A check that takes the pod out of its services when it fails.
         startupProbe A check that must succeed once before the other probes begin.
         lifecycle Actions after the start and before the end.
         terminationMessagePath File whose content says why the container ended.
         terminationMessagePolicy File, or FallbackToLogsOnError to use the end of the log instead.
         securityContext Security settings of this container; they win over the pod's.
         stdin Keep standard input open.
         stdinOnce Close standard input after the first client has left.
         tty Give the container a terminal; needs stdin.
        core.v1.ContainerPort A port that a container listens on.
         containerPort The port's number, 1 to 65535.
         hostPort The port on the node's address that leads here.
         hostIP The node's address to bind hostPort to.
         name Name by which services may refer to the port.
         protocol TCP, UDP or SCTP; TCP unless given.
        core.v1.EnvVar An environment variable.
         name Name of the variable.
         value Its value; $(OTHER) stands for another variable's.
         valueFrom Where the value comes from instead.
        core.v1.EnvVarSource Where a variable's value comes from.
         fieldRef A field of the pod, such as status.podIP.
         resourceFieldRef A resource limit or request of a container.
         configMapKeyRef A key of a ConfigMap.
         secretKeyRef A key of a Secret.
        core.v1.EnvFromSource A source whose every entry becomes a variable.
         prefix Put in front of every name.
         configMapRef The ConfigMap.
         secretRef The Secret.
        core.v1.ResourceRequirements What a container asks for and what it may use at most.
         requests Amounts that the node must have free, for example cpu 250m, memory 64Mi.
         limits Amounts that cannot be exceeded.
         claims Claims of the pod that this container uses.
        core.v1.VolumeMount A volume in a container's file system.
         name Name of the volume.
         mountPath Path in the container.
         subPath Path within the volume; its root unless given.
         readOnly Mount it for reading only.
        core.v1.Probe A check of a container, repeated.
         httpGet An HTTP request; 200 to 399 is success.
         tcpSocket A connection; success when it opens.
         exec A command; exit code 0 is success.
         grpc The gRPC health check.
         initialDelaySeconds Seconds after the start before the first check.
         periodSeconds Seconds between checks; 10 unless given.
         timeoutSeconds Seconds that a check may take; 1 unless given.
         successThreshold Successes in a row that make it healthy; 1 unless given.
         failureThreshold Failures in a row that make it unhealthy; 3 unless given.
        core.v1.HTTPGetAction An HTTP request.
         path Path of the request.
         port Number or name of the port.
         host Host to connect to; the pod's address unless given.
         scheme HTTP or HTTPS.
         httpHeaders Headers to send.
        core.v1.Lifecycle Actions around a container's life.
         postStart Right after the start; when it fails, the container is ended.
         preStop Before the container is ended; it counts against the grace period.
        core.v1.Volume A volume that containers of a pod may mount; exactly one source.
         name Name, unique in the pod.
         emptyDir A directory that lives as long as the pod.
         hostPath A file or directory of the node.
         configMap Files with the entries of a ConfigMap.
         secret Files with the entries of a Secret.
         persistentVolumeClaim A volume that outlives the pod, through a claim.
         downwardAPI Files with fields of the pod.
         projected Several sources in one directory.
         nfs A directory of an NFS server.
         ephemeral A claim that is made and removed with the pod.
         csi A volume of a storage driver that lives as long as the pod.
         image The content of an image.
        core.v1.SecurityContext Security settings of a container.
         runAsUser User id of the program.
         runAsGroup Group id of the program.
         runAsNonRoot Refuse to run as root.
         privileged Run with nearly all rights of the node's root.
         capabilities Rights added to or taken from the usual ones.
         readOnlyRootFilesystem Make the root file system read-only.
         allowPrivilegeEscalation Whether a program may gain more rights than its parent.
         seccompProfile System calls that are allowed.
        core.v1.PodSecurityContext Security settings of all containers of a pod.
         fsGroup Group that owns the volumes' files.
         runAsUser User id of the programs.
         runAsGroup Group id of the programs.
         runAsNonRoot Refuse to run as root.
         supplementalGroups Further groups of the programs.
         sysctls Kernel settings of the pod.
        core.v1.Toleration A taint that the pod puts up with.
         key The taint's key; empty with Exists means all.
         operator Exists or Equal.
         value The taint's value, for Equal.
         effect NoSchedule, PreferNoSchedule or NoExecute; empty means all.
         tolerationSeconds How long the pod stays once a NoExecute taint is there; for ever unless given.
        core.v1.Affinity Rules that draw a pod to places or keep it away.
         nodeAffinity By labels of nodes.
         podAffinity Near certain pods.
         podAntiAffinity Away from certain pods.
        core.v1.TopologySpreadConstraint How matching pods are spread.
         topologyKey Label of nodes whose values are the places to spread over.
         maxSkew How much the fullest place may have more than the emptiest.
         whenUnsatisfiable DoNotSchedule or ScheduleAnyway.
         labelSelector The pods that are counted.
        core.v1.PodStatus What a pod does.
         phase Pending, Running, Succeeded, Failed or Unknown.
         podIP The pod's address.
         podIPs All addresses of the pod.
         hostIP The node's address.
         startTime When the node took on the pod.
         containerStatuses The state of each container.
         qosClass Guaranteed, Burstable or BestEffort.
         reason One word that says why the pod is in this state.
         message A sentence that says why the pod is in this state.
        """#
}
