/// The texts of `FieldDescriptions`.
enum DescriptionTables {
    /// Members that mean the same everywhere, and object metadata.
    static let common: StaticString = #"""
        * Any type.
         apiVersion Group and version of the schema that this object is written in.
         kind What this object is; together with apiVersion it names the schema.
         metadata Name, labels and other data about the object that every kind has.
         spec What is wanted.
         status What was last seen; written by the system.
         conditions Observations about the state, one per type.
         observedGeneration The generation of the spec that this status speaks of.
         items The objects.
        meta.v1.ObjectMeta Data that every stored object has.
         name Name, unique among objects of this kind in the namespace. It cannot be changed.
         generateName Start of a name that the server completes with random characters; used when name is empty.
         namespace The namespace that the object lives in. It cannot be changed.
         labels Keys and values by which objects are grouped and selected.
         annotations Keys and values for tools; they cannot be selected by.
         uid Identity of this very object, given by the server; a new object of the same name gets another.
         resourceVersion Version of the stored object; sent back in an update, it guards against lost changes.
         generation Counts changes of the spec.
         creationTimestamp When the object was created.
         deletionTimestamp When the object is to be gone; set by the server once deletion was asked for.
         deletionGracePeriodSeconds Seconds that the object may take to end after deletion was asked for.
         ownerReferences Objects that this one belongs to; when all of them are gone, it is deleted too.
         finalizers Names of those who must clean up before the object may be removed.
         managedFields Which manager set which fields; kept by the server.
         selfLink Not used any more.
        meta.v1.OwnerReference Names an owner of an object.
         name Name of the owner.
         uid Identity of the owner.
         controller True for the one owner that manages the object.
         blockOwnerDeletion True when the owner, deleted in the foreground, must wait for this object.
        meta.v1.LabelSelector Selects objects by their labels; all requirements must hold. Empty selects everything.
         matchLabels Labels that must be there with exactly these values.
         matchExpressions Requirements on labels, each a key, an operator and values.
        meta.v1.LabelSelectorRequirement A requirement on one label.
         key The label's key.
         operator In, NotIn, Exists or DoesNotExist.
         values Values for In and NotIn; none for the others.
        meta.v1.Condition An observation about an object.
         type Name of the condition.
         status True, False or Unknown.
         reason One word for programs that says why.
         message A sentence for people.
         lastTransitionTime When the status last changed.
        meta.v1.ListMeta Data about a list.
         resourceVersion The state of the store that the list shows.
         continue Token that asks for the next part of the list.
         remainingItemCount How many objects follow.
        meta.v1.DeleteOptions How an object is deleted.
         gracePeriodSeconds Seconds that the object may take to end; 0 means at once.
         propagationPolicy What happens to dependents: Orphan, Background or Foreground.
         preconditions What must hold of the object, or it is not deleted.
         dryRun All: only check, change nothing.
        core.v1.ObjectReference Names another object.
        core.v1.LocalObjectReference Names an object of the same namespace.
         name Name of the object.
        """#
}
