/// Digests of any files.
public enum FileDigest {
    /// SHA-256 of a file's bytes in hexadecimal digits. Throws `WeightFileError` if it cannot be read.
    public static func sha256(of path: String) throws(WeightFileError) -> String {
        let file = try FileBytes(path: path)
        let digest = SHA256Digest()
        digest.update(file.bytes(0..<file.count))
        return digest.hexadecimal()
    }
}
