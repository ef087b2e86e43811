/// Weight files of either format.
public enum WeightFile {
    /// Opens a safetensors or PyTorch file, distinguished by the first bytes and not by the file name.
    ///
    /// The prefixes `module.`, `model.` and `sam.` that wrappers add to every name are removed.
    /// Throws `WeightFileError` with the rule that the file breaks.
    public static func open(_ path: String) throws(WeightFileError) -> TensorTable {
        let file = try FileBytes(path: path)
        if looksLikeSafetensors(file) || file.count < 8 {
            return try SafetensorsFile.table(of: file).removingWrapperPrefixes()
        }
        // A local file header, or a pickle as PyTorch wrote before it used archives.
        if file.number(UInt32.self, at: 0) == 0x0403_4b50 || file.number(UInt8.self, at: 0) == 0x80 {
            return try PyTorchFile.table(of: file)
        }
        throw WeightFileError(
            .knownFormat, path: path, offset: 0, found: "the first bytes belong to neither format",
            remedy: "give a .safetensors file, or a .pth or .pt file written by torch.save")
    }

    /// Whether a header could begin after the length word. The length itself is left to the reader, whose error is more
    /// specific.
    private static func looksLikeSafetensors(_ file: FileBytes) -> Bool {
        file.count >= 9 && file.number(UInt8.self, at: 8) == UInt8(ascii: "{")
    }
}
