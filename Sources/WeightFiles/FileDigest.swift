/// Digests of files that need not be weights.
public enum FileDigest {
    /// SHA-256 of a file's bytes in hexadecimal digits. Throws `WeightFileError` when it cannot be read.
    public static func sha256(of path: String) throws(WeightFileError) -> String {
        let file = try FileBytes(path: path)
        let digest = SHA256Digest()
        digest.update(file.bytes(0..<file.count))
        return digest.hexadecimal()
    }
}
