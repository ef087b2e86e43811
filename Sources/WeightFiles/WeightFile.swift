/// Weight files of either format.
public enum WeightFile {
    /// Opens a safetensors or PyTorch file, distinguished by the first bytes and not by the file name.
    ///
    /// The prefixes `module.`, `model.` and `sam.` that wrappers add to every name are removed.
    /// Throws `WeightFileError` with the rule that the file breaks.
    public static func open(_ path: String) throws(WeightFileError) -> TensorTable {
        let file = try FileBytes(path: path)
        if try isText(file) {
            let names = String(decoding: try file.bytes(0..<min(file.count, 64 << 10)), as: UTF8.self)
            guard names.contains("\"weight_map\"") else {
                throw WeightFileError(
                    .knownFormat, path: path, offset: 0, found: "a JSON text",
                    remedy: "give a .safetensors file, or a .pth or .pt file written by torch.save")
            }
            throw WeightFileError(
                .oneFile, path: path, found: "an index of weights that were saved in several files",
                remedy: oneFileRemedy)
        }
        if try looksLikeSafetensors(file) || file.count < 8 {
            return try SafetensorsFile.table(of: file).removingWrapperPrefixes()
        }
        // A local file header, or a pickle as PyTorch wrote before it used archives.
        let (word, first) = (try file.number(UInt32.self, at: 0), try file.number(UInt8.self, at: 0))
        if word == 0x0403_4b50 || first == 0x80 { return try PyTorchFile.table(of: file) }
        throw WeightFileError(
            .knownFormat, path: path, offset: 0, found: "the first bytes belong to neither format",
            remedy: "give a .safetensors file, or a .pth or .pt file written by torch.save")
    }

    private static let oneFileRemedy =
        "save the model in one file, as transformers does with save_pretrained(FOLDER, max_shard_size=\"100GB\")"

    /// Throws if a file is, by its name, one part of a model that was saved in several files, as in
    /// `model-00001-of-00002.safetensors`.
    public static func refusePart(_ path: String) throws(WeightFileError) {
        let name = path.split(separator: "/").last ?? ""
        guard let match = name.firstMatch(of: #/-(\d{5})-of-(\d{5})\.(safetensors|bin|pt|pth)$/#),
            let part = Int(match.1), let parts = Int(match.2), parts > 1
        else { return }
        throw WeightFileError(
            .oneFile, path: path, found: "part \(part) of a model that was saved in \(parts) files",
            remedy: oneFileRemedy)
    }

    /// Whether a file begins as a JSON object; the length of a safetensors header has zeros where text has characters.
    private static func isText(_ file: FileBytes) throws(WeightFileError) -> Bool {
        guard file.count >= 8 else { return false }
        let (first, high) = (try file.number(UInt8.self, at: 0), try file.number(UInt32.self, at: 4))
        return first == UInt8(ascii: "{") && high != 0
    }

    /// Whether a header could begin after the length word. The length itself is left to the reader, whose error is more
    /// specific.
    private static func looksLikeSafetensors(_ file: FileBytes) throws(WeightFileError) -> Bool {
        guard file.count >= 9 else { return false }
        return try file.number(UInt8.self, at: 8) == UInt8(ascii: "{")
    }
}
