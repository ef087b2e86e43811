import WeightFiles

extension Recipe {
    /// SHA-256, in hexadecimal, over the keys that shape the learnt adapters.
    ///
    /// Paths, names, lengths, logging and thread counts are left out: a moved or longer run is the same run. The data and
    /// the base weights have digests of their own.
    public var digest: String {
        var resolved = self
        resolved.preprocessing = resolvedPreprocessing
        let text = RecipeReference.fields.filter(\.shapesResult)
            .map { "\($0.key): \($0.value(resolved))\n" }.joined()
        let digest = SHA256Digest()
        digest.update(Array(text.utf8))
        return digest.hexadecimal()
    }

    /// The keys of ``digest`` in which two recipes differ, each as `key: first, then second`.
    public func differences(shapingResultFrom other: Recipe) -> [String] {
        RecipeReference.fields.filter(\.shapesResult).compactMap { field in
            let (first, second) = (field.value(self), field.value(other))
            return first == second ? nil : "\(field.key): \(first), then \(second)"
        }
    }
}
