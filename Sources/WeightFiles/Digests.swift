import COpenSSL

/// SHA-256 of data added piece by piece.
///
/// Every call into OpenSSL keeps this object alive until it returns: to the compiler the context is only a number, so
/// an object whose last use is a call could otherwise be freed, and its context reused by another thread, during the
/// call.
package final class SHA256Digest {
    private let context: OpaquePointer?

    package init() {
        context = EVP_MD_CTX_new()
        precondition(context != nil && EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1, "OpenSSL lacks SHA-256")
    }

    deinit { EVP_MD_CTX_free(context) }

    package func update(_ bytes: UnsafeRawBufferPointer) {
        _ = withExtendedLifetime(self) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }
    }

    package func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The digest; the object cannot be used afterwards. // 32 bytes
    package func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        _ = withExtendedLifetime(self) { EVP_DigestFinal_ex(context, &digest, nil) }
        return digest
    }

    /// The digest in hexadecimal digits; the object cannot be used afterwards.
    package func hexadecimal() -> String {
        finish().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

extension FileBytes {
    /// SHA-256 of all bytes in hexadecimal digits.
    func digest() throws(WeightFileError) -> String {
        let digest = SHA256Digest()
        try pieces(0..<count) { digest.update($0) }
        return digest.hexadecimal()
    }
}

extension TensorTable {
    /// SHA-256 of the bytes of the file in hexadecimal digits, as `sha256sum` prints it.
    /// Throws `unchanged`, `fileUnreadable`.
    public func fileDigest() throws(WeightFileError) -> String { try file.digest() }

    /// SHA-256 of the tensors' content: names, shapes and values in the order of the names.
    ///
    /// The same weights in another container, storage order or exactly representing float type have the same
    /// digest. Per tensor: length of the name, name, rank, extents (all numbers u64 little-endian), then F32 values for
    /// floats or I64 values for integers, little-endian. Throws `unchanged`, `fileUnreadable`.
    public func contentDigest() throws(WeightFileError) -> String {
        let digest = SHA256Digest()
        for entry in entries {
            let name = Array(entry.name.utf8)
            digest.update(littleEndianBytes([UInt64(name.count)]))
            digest.update(name)
            digest.update(littleEndianBytes([UInt64(entry.shape.count)] + entry.shape.map(UInt64.init)))
            try withContiguousBytes(entry) { source in
                if entry.elementType == .float32 {
                    digest.update(UnsafeRawBufferPointer(start: source, count: entry.count * 4))
                } else if entry.elementType.isInteger {
                    digest.update(littleEndianBytes(entry.elementType.readIntegers(source, count: entry.count)))
                } else {
                    var floats = [Float](repeating: 0, count: entry.count)
                    floats.withUnsafeMutableBufferPointer { target in
                        guard let base = target.baseAddress else { return }
                        entry.elementType.readFloats(source, count: entry.count, into: base)
                    }
                    floats.withUnsafeBytes { digest.update($0) }
                }
            }
        }
        return digest.hexadecimal()
    }
}
