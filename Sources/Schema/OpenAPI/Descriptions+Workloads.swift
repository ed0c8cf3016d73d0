extension DescriptionTables {
    /// Kinds that make pods.
    static let workloads: StaticString = #"""
        apps.v1.Deployment Keeps a number of equal pods running and replaces them step by step when their template changes.
        apps.v1.DeploymentSpec What a deployment is to run.
         replicas Number of pods; 1 unless given.
         selector The pods that belong to it; it must match the template's labels and cannot be changed.
         template How its pods look.
         strategy How old pods are replaced by new ones.
         minReadySeconds Seconds that a new pod must be ready before it counts as available.
         revisionHistoryLimit Number of old replica sets kept for a rollback; 10 unless given.
         paused Whether changes of the template are held back.
         progressDeadlineSeconds Seconds without progress after which the rollout counts as failed; 600 unless given.
        apps.v1.DeploymentStrategy How old pods are replaced.
         type RollingUpdate, or Recreate to end all old pods first.
         rollingUpdate Parameters of RollingUpdate.
        apps.v1.RollingUpdateDeployment How fast pods are replaced.
         maxUnavailable Pods that may be missing meanwhile, a number or a percentage; 25% unless given.
         maxSurge Pods that there may be on top meanwhile, a number or a percentage; 25% unless given.
        apps.v1.DeploymentStatus How far a deployment is.
         replicas Pods there are.
         readyReplicas Pods that are ready.
         availableReplicas Pods that have been ready for minReadySeconds.
         unavailableReplicas Pods that are missing.
         updatedReplicas Pods made from the present template.
        apps.v1.ReplicaSet Keeps a number of equal pods running; usually made by a Deployment.
        apps.v1.ReplicaSetSpec What a replica set is to run.
         replicas Number of pods; 1 unless given.
         selector The pods that belong to it.
         template How new pods look.
        apps.v1.StatefulSet Keeps numbered pods running, each with a stable name and its own storage.
        apps.v1.StatefulSetSpec What a stateful set is to run.
         replicas Number of pods; 1 unless given.
         serviceName The headless Service that gives the pods their names.
         selector The pods that belong to it.
         template How its pods look.
         volumeClaimTemplates Claims made for each pod; they stay when the pod goes.
         podManagementPolicy OrderedReady: one pod after the other; Parallel: all at once.
         updateStrategy How pods are replaced: RollingUpdate or OnDelete.
         persistentVolumeClaimRetentionPolicy Whether claims stay when the set is deleted or scaled down.
        apps.v1.DaemonSet Runs one pod on every node, or on those that match.
        apps.v1.DaemonSetSpec What a daemon set is to run.
         selector The pods that belong to it.
         template How its pods look.
         updateStrategy How pods are replaced: RollingUpdate or OnDelete.
        batch.v1.Job Runs pods until enough of them have succeeded.
        batch.v1.JobSpec What a job is to run.
         template How its pods look; restartPolicy must be OnFailure or Never.
         completions Pods that must succeed.
         parallelism Pods that may run at a time.
         backoffLimit Failures after which the job gives up; 6 unless given.
         activeDeadlineSeconds Seconds after which the job is ended.
         ttlSecondsAfterFinished Seconds after which the finished job is deleted.
         suspend Whether its pods are held back.
         completionMode NonIndexed, or Indexed to give each pod a number.
        batch.v1.CronJob Starts jobs at set times.
        batch.v1.CronJobSpec When and what.
         schedule The times in cron's format.
         timeZone Name of the time zone of the schedule.
         jobTemplate How its jobs look.
         concurrencyPolicy What to do while the last job runs: Allow, Forbid or Replace.
         suspend Whether no further jobs are started.
         startingDeadlineSeconds Seconds that a start may be late.
         successfulJobsHistoryLimit Succeeded jobs to keep; 3 unless given.
         failedJobsHistoryLimit Failed jobs to keep; 1 unless given.
        autoscaling.v2.HorizontalPodAutoscaler Changes a workload's number of pods with its load.
        autoscaling.v2.HorizontalPodAutoscalerSpec What is scaled and when.
         scaleTargetRef The workload.
         minReplicas The fewest pods; 1 unless given.
         maxReplicas The most pods.
         metrics What is measured, and the value to aim at.
         behavior How fast it scales up and down.
        policy.v1.PodDisruptionBudget Limits how many pods may be taken down on purpose at a time.
        policy.v1.PodDisruptionBudgetSpec What must stay up.
         selector The pods that are counted.
         minAvailable Pods that must stay, a number or a percentage.
         maxUnavailable Pods that may be gone, a number or a percentage.
        """#
}
