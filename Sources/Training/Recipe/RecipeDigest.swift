import COpenSSL

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
        var sum = [UInt8](repeating: 0, count: 32)
        let status = EVP_Digest(text, text.utf8.count, &sum, nil, EVP_sha256(), nil)
        precondition(status == 1, "OpenSSL lacks SHA-256")
        return sum.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The keys of ``digest`` in which two recipes differ, each as `key: first, then second`.
    public func differences(shapingResultFrom other: Recipe) -> [String] {
        RecipeReference.fields.filter(\.shapesResult).compactMap { field in
            let (first, second) = (field.value(self), field.value(other))
            return first == second ? nil : "\(field.key): \(first), then \(second)"
        }
    }
}
