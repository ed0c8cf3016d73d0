/// The resource metrics API, which the API server answers itself (`kubectl top`, autoscalers). Written by hand: it is
/// served by an add-on elsewhere and therefore not in the generated tables. Rows as `SchemaReader` documents them.
enum MetricsTables {
    static let types: StaticString = #"""
        @io.k8s.metrics.pkg.apis.metrics.v1beta1 metrics.v1beta1
        ContainerMetrics
         name string 1 req default=""
         usage map:quantity 2 req
        NodeMetrics metrics.k8s.io/v1beta1/NodeMetrics
         apiVersion string -
         kind string -
         metadata meta.v1.ObjectMeta 1 default={}
         timestamp time 2 req
         usage map:quantity 4 req
         window string 3:.k8s.io.apimachinery.pkg.apis.meta.v1.Duration req
        NodeMetricsList metrics.k8s.io/v1beta1/NodeMetricsList
         apiVersion string -
         items []NodeMetrics 2 req
         kind string -
         metadata meta.v1.ListMeta 1 default={}
        PodMetrics metrics.k8s.io/v1beta1/PodMetrics
         apiVersion string -
         containers []ContainerMetrics 4 req
         kind string -
         metadata meta.v1.ObjectMeta 1 default={}
         timestamp time 2 req
         window string 3:.k8s.io.apimachinery.pkg.apis.meta.v1.Duration req
        PodMetricsList metrics.k8s.io/v1beta1/PodMetricsList
         apiVersion string -
         items []PodMetrics 2 req
         kind string -
         metadata meta.v1.ListMeta 1 default={}
        """#
    static let resources: StaticString = #"""
        nodes NodeMetrics metrics.k8s.io v1beta1 cluster - - - get,list
        pods PodMetrics metrics.k8s.io v1beta1 namespaced - - - get,list
        """#
}
