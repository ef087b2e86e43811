import AdaptationMethods

extension Recipe {
    /// All faults of the recipe at once: values out of their field's bounds, then rules between fields.
    ///
    /// Needs no file, data or network, so it runs before anything is started.
    public func validate() -> [RecipeFault] {
        let outOfBounds = RecipeReference.fields.compactMap { field -> RecipeFault? in
            let value = field.value(self)
            guard !field.rule.accepts(value) else { return nil }
            return RecipeFault(key: field.key, value: value.description, rule: "must be \(field.rule.description)")
        }
        return outOfBounds + crossFaults() + (outOfBounds.isEmpty ? methodFaults() : [])
    }

    /// Rules that concern more than one field.
    private func crossFaults() -> [RecipeFault] {
        var faults: [RecipeFault] = []
        func require(_ isKept: Bool, _ key: String, _ rule: String) {
            guard !isKept else { return }
            let value = RecipeReference.field(key)?.value(self).description ?? ""
            faults.append(RecipeFault(key: key, value: value, rule: rule))
        }
        require(!run.folder.isEmpty, "run.folder", "must name a folder")
        require(
            model.imageSize % 16 == 0, "model.imageSize", "must be 0 or a multiple of 16, the side of an image patch")
        require(!data.root.isEmpty, "data.root", "must name the folder of the data set")
        require(!data.images.isEmpty, "data.images", "must name the folder of the images below data.root")
        require(!data.labels.isEmpty, "data.labels", "must name the folder of the labels below data.root")
        require(
            data.evaluationRoot?.isEmpty != true, "data.evaluationRoot",
            "must name a folder; write none to use the split")
        require(
            data.annotations?.isEmpty != true, "data.annotations",
            "must name a file or folder below data.root; write none for the custom of the format")
        let usesPoints = prompts.kind == .point || prompts.teacherKind == .point || evaluation.prompts.contains(.point)
        require(
            !usesPoints || prompts.positivePoints > 0, "prompts.positivePoints", "point prompts need at least 1")
        return faults
    }

    /// What the method has to say about its own settings; an unknown method is refused where it is made.
    private func methodFaults() -> [RecipeFault] {
        guard let method = try? adaptationMethod() else { return [] }
        return method.settingFaults.map { fault in
            let key = "method.\(fault.key)"
            let value = RecipeReference.field(key)?.value(self).description ?? ""
            return RecipeFault(key: key, value: value, rule: fault.rule)
        }
    }
}
