/// Digests of any files.
public enum FileDigest {
    /// SHA-256 of a file's bytes in hexadecimal digits. Throws `WeightFileError` if it cannot be read.
    public static func sha256(of path: String) throws(WeightFileError) -> String {
        try FileBytes(path: path, keptUpTo: 0).digest()
    }
}
