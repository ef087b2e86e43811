/// Files that `torch.save` writes (PyTorch 1.6 and later): a zip archive with a pickle that describes the tensors and one
/// stored entry per storage. Read only, and only what tensors need (see `PickleReader`).
public enum PyTorchFile {
    /// Reads the state dictionary of a file.
    ///
    /// It may be wrapped in dictionaries (`model`, `state_dict` and the like), and its names prefixed with `module.`,
    /// `model.` or `sam.`, which are removed. Throws `WeightFileError` with the rule that the file breaks.
    public static func read(_ path: String) throws(WeightFileError) -> TensorTable {
        try table(of: FileBytes(path: path))
    }

    /// Reads the bytes of a file; `label` replaces its path in errors.
    public static func read(bytes: [UInt8], label: String = "bytes") throws(WeightFileError) -> TensorTable {
        try table(of: FileBytes(copying: bytes, label: label))
    }

    package static func table(of file: FileBytes) throws(WeightFileError) -> TensorTable {
        // Protocol 2 followed by LONG1 of ten bytes: the magic number of the format before 1.6.
        if file.count >= 4, try file.bytes(0..<4).elementsEqual([0x80, 0x02, 0x8a, 0x0a]) {
            throw WeightFileError(
                .legacyFile, path: file.path, offset: 0, found: "a legacy file",
                remedy: "legacy file, re-save with torch.save or convert to safetensors")
        }
        let archive = try ZipArchive(file)
        if let order = archive.entry("byteorder"), try !file.bytes(order.range).elementsEqual("little".utf8) {
            throw WeightFileError(
                .byteOrder, path: file.path, offset: order.range.lowerBound, found: "byte order not little-endian",
                remedy: "save it again on a little-endian machine or convert it to safetensors")
        }
        guard let pickle = archive.entry("data.pkl") else {
            throw WeightFileError(
                .stateDictionary, path: file.path, found: "the archive has no \(archive.root)/data.pkl",
                remedy: "save the model's state_dict() with torch.save")
        }
        let tensors = try file.withBytes(pickle.range) { text throws(WeightFileError) in
            var reader = PickleReader(text, path: "\(file.path):\(pickle.name)")
            let value = try reader.read()
            return try stateDictionary(in: value, reader.dictionaries, file)
        }
        var entries: [TensorEntry] = []
        for (name, tensor) in tensors {
            let start = try storageStart(tensor.storage, of: name, archive, file)
            entries.append(
                TensorEntry(
                    name: name, shape: tensor.shape, elementType: tensor.storage.elementType,
                    strides: tensor.isContiguous ? nil : tensor.strides,
                    byteOffset: start + tensor.offset * tensor.storage.elementType.size))
        }
        try checkAliases(entries, file)
        return try TensorTable(entries, metadata: [:], file: file).removingWrapperPrefixes()
    }

    /// Tensors may share a storage, as tied weights do. Without a limit a few bytes of the file, named again and again,
    /// would take any time to read.
    private static func checkAliases(_ entries: [TensorEntry], _ file: FileBytes) throws(WeightFileError) {
        let limit = max(8 * file.count, 16 << 20)
        var sum = 0
        for entry in entries {
            // Each tensor lies in the file, so that a sum below the limit cannot overflow.
            sum += entry.count * entry.elementType.size
            guard sum <= limit else {
                throw WeightFileError(
                    .aliasLimit, path: file.path,
                    found: "\(entries.count) tensors that share storages, with more than \(limit) bytes in all",
                    remedy: "save a clone() of each tensor")
            }
        }
    }

    /// The position of a storage in the file, after a check of its size. An empty storage may have no entry.
    private static func storageStart(
        _ storage: PickleStorage, of name: String, _ archive: ZipArchive, _ file: FileBytes
    ) throws(WeightFileError) -> Int {
        let size = storage.count * storage.elementType.size
        guard let entry = archive.entry("data/" + storage.key) else {
            if size == 0 { return 0 }
            throw WeightFileError(
                .storageSize, path: file.path, found: "the storage \(storage.key) of \(name) is missing")
        }
        guard entry.range.count == size else {
            throw WeightFileError(
                .storageSize, path: file.path, offset: entry.range.lowerBound,
                found: "the storage \(storage.key) of \(name) has \(entry.range.count) bytes, declared are \(size)")
        }
        return entry.range.lowerBound
    }

    /// The keys of wrapping dictionaries, in the order in which they are tried.
    private static let wrapperKeys = ["model", "state_dict", "model_state_dict", "net", "module"]

    /// The dictionary from text to tensors: the value itself, or the one it wraps.
    private static func stateDictionary(
        in value: PickleValue, _ dictionaries: [PickleDictionary], _ file: FileBytes, depth: Int = 0
    ) throws(WeightFileError) -> [(name: String, tensor: PickleTensor)] {
        func failure(_ found: String) -> WeightFileError {
            WeightFileError(
                .stateDictionary, path: file.path, found: found,
                remedy: "save the model's state_dict() alone with torch.save")
        }
        guard case .dictionary(let number) = value else { throw failure("the file does not hold a dictionary") }
        let dictionary = dictionaries[number]
        guard depth < 4 else { throw failure("dictionaries nested more than four deep") }
        var tensors: [(name: String, tensor: PickleTensor)] = []
        var others: [String] = []
        var nested: [PickleValue] = []
        for (key, value) in dictionary.items {
            if case .text(let name) = key, case .tensor(let tensor) = value {
                tensors.append((name, tensor))
            } else {
                others.append("\(key)")
                if case .dictionary = value { nested.append(value) }
            }
        }
        if !tensors.isEmpty {
            guard others.isEmpty else {
                throw failure("a dictionary of tensors that also holds \(others.sorted().joined(separator: ", "))")
            }
            guard tensors.count <= SafetensorsFile.tensorLimit else { throw failure("\(tensors.count) tensors") }
            if let long = tensors.first(where: { $0.name.utf8.count > SafetensorsFile.nameLimit }) {
                throw WeightFileError(
                    .nameLength, path: file.path, found: "a tensor name of \(long.name.utf8.count) bytes")
            }
            return tensors
        }
        for key in wrapperKeys {
            if let value = dictionary[key], case .dictionary = value {
                return try stateDictionary(in: value, dictionaries, file, depth: depth + 1)
            }
        }
        guard nested.count == 1 else {
            throw failure(
                nested.isEmpty ? "no tensors" : "several dictionaries: \(others.sorted().joined(separator: ", "))")
        }
        return try stateDictionary(in: nested[0], dictionaries, file, depth: depth + 1)
    }
}
